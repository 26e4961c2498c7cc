package dev.gptq.models.family;

import java.util.Optional;

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
 * @param fused where the weight is in checkpoints that keep those of all experts in one tensor
 */
public record LinearSpec(
    String module,
    String out,
    int outputs,
    int inputs,
    boolean bias,
    Storage storage,
    Optional<FusedSpec> fused) {

  /** Order of the dimensions of a full-precision weight; quantized ones are all stored alike. */
  public enum Storage {
    /** Out × in, as almost everywhere. */
    OUT_IN,
    /** In × out, as the Conv1D of GPT-2. */
    IN_OUT
  }

  /** A layer that has a tensor of its own. */
  public LinearSpec(
      String module, String out, int outputs, int inputs, boolean bias, Storage storage) {
    this(module, out, outputs, inputs, bias, storage, Optional.empty());
  }

  /** A layer that is stored out × in. */
  public LinearSpec(String module, String out, int outputs, int inputs, boolean bias) {
    this(module, out, outputs, inputs, bias, Storage.OUT_IN);
  }

  /** The same, which may be a part of a tensor. */
  public LinearSpec within(FusedSpec tensor) {
    return new LinearSpec(module, out, outputs, inputs, bias, storage, Optional.of(tensor));
  }
}
