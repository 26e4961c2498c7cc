package dev.gptq.quantizer.gguf;

import dev.gptq.formats.gguf.GgufType;
import dev.gptq.grid.SuperBlock;
import java.util.Optional;

/** The type of embedding and output layer in a GGUF file, rounded to nearest. */
public enum Ends {
  /** That of the checkpoint. */
  KEEP,
  /** 8 bits in blocks of 32. */
  Q8_0,
  /** 6 bits in blocks of 256. */
  Q6_K,
  /** 5 bits in blocks of 256. */
  Q5_K,
  /** 4 bits in blocks of 256. */
  Q4_K,
  /** 3 bits in blocks of 256. */
  Q3_K,
  /** 2 bits in blocks of 256. */
  Q2_K;

  /**
   * The type of a matrix, if it is not kept: blocks of 256 give way to {@link GgufType#Q8_0} where
   * they do not divide its columns, and these to its own type.
   */
  Optional<GgufType> of(int columns) {
    if (this == KEEP || columns % GgufType.Q8_0.block() != 0) {
      return Optional.empty();
    }
    return Optional.of(
        columns % SuperBlock.COLUMNS == 0 ? GgufType.valueOf(name()) : GgufType.Q8_0);
  }
}
