package dev.gptq.backend;

/** Packed weights in the layout a backend's kernels want; made by {@link PackedMatmul#prepare}. */
public interface PackedWeights {
  /** Output features. */
  int rows();

  /** Input features. */
  int columns();

  /** Bytes in the backend's memory. */
  long byteSize();
}
