package dev.gptq.models.family;

/**
 * A linear layer {@code y = x·Wᵀ + b} of a block.
 *
 * @param module name below the block, such as {@code self_attn.q_proj}; the checkpoint has {@code
 *     module.weight} and perhaps {@code module.bias}
 * @param out name of the activation it defines
 * @param outputs output features
 * @param inputs input features
 * @param bias whether it has a bias
 * @param storage which dimension of the stored weight comes first
 */
public record LinearSpec(
    String module, String out, int outputs, int inputs, boolean bias, Storage storage) {

  /** Order of the dimensions of a full-precision weight; quantized ones are all stored alike. */
  public enum Storage {
    /** Out × in, as almost everywhere. */
    OUT_IN,
    /** In × out, as the Conv1D of GPT-2. */
    IN_OUT
  }

  /** A layer that is stored out × in. */
  public LinearSpec(String module, String out, int outputs, int inputs, boolean bias) {
    this(module, out, outputs, inputs, bias, Storage.OUT_IN);
  }
}
