package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.safetensors.Checkpoint;

/** Brings formats of quantized checkpoints; found by {@link java.util.ServiceLoader}. */
public interface FormatProvider {
  /** What it writes, the most usual first. */
  ImmutableList<Format> formats();

  /** Whether it reads checkpoints whose {@code quant_method} is this. */
  boolean reads(String method);

  /**
   * A checkpoint with a tensor for each expert where its files, in this form, have stacks of them.
   */
  default Checkpoint split(Checkpoint checkpoint) {
    return checkpoint;
  }

  /** Whether a checkpoint holds the module in its form, whatever the checkpoint says. */
  boolean has(Checkpoint checkpoint, String module);

  /**
   * The quantized modules of a checkpoint.
   *
   * @param settings what the checkpoint says about its quantization
   * @throws dev.gptq.formats.BadInputException if they are of a kind that cannot be read
   */
  PackedModules open(JsonConfig settings, Checkpoint checkpoint);
}
