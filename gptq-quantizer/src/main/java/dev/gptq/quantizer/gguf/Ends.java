package dev.gptq.quantizer.gguf;

/** The type of embedding and output layer in a GGUF file. */
public enum Ends {
  /** That of the checkpoint. */
  KEEP,
  /** 8 bits in blocks of 32. */
  Q8_0
}
