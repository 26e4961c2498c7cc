package dev.gptq.tensor;

/** Element type of a tensor in a backend's memory. */
public enum DType {
  /** IEEE binary64; accumulators of scalars only. */
  F64(8),
  /** IEEE binary32. */
  F32(4),
  /** IEEE binary16. */
  F16(2),
  /** bfloat16: the upper half of a binary32. */
  BF16(2),
  /** Signed 32-bit integer: token ids, column indices. */
  I32(4),
  /** Unsigned 8-bit integer: quantization codes. */
  U8(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Whether this is one of the types that hold weights and activations: F32, F16 or BF16. */
  public boolean isReal() {
    return this == F32 || this == F16 || this == BF16;
  }
}
