package dev.gptq.models.family;

/**
 * A linear layer {@code y = x·Wᵀ + b} of a block.
 *
 * @param module name below the block, such as {@code self_attn.q_proj}; the checkpoint has {@code
 *     module.weight}, out × in, and perhaps {@code module.bias}
 * @param out name of the activation it defines
 * @param outputs output features
 * @param inputs input features
 * @param bias whether it has a bias
 */
public record LinearSpec(String module, String out, int outputs, int inputs, boolean bias) {}
