package dev.gptq.bench.checkpoint;

/** The type in which a model is published. */
public enum WeightType {
  /** IEEE half precision. */
  FLOAT16("float16", "F16"),
  /** The upper half of a float32. */
  BFLOAT16("bfloat16", "BF16");

  private final String id;
  private final String dtype;

  WeightType(String id, String dtype) {
    this.id = id;
    this.dtype = dtype;
  }

  /** Its name in {@code config.json}. */
  String id() {
    return id;
  }

  /** Its name in safetensors. */
  String dtype() {
    return dtype;
  }

  /** The bits of the nearest number, ties to even. */
  short bits(float value) {
    if (this == FLOAT16) {
      return Float.floatToFloat16(value);
    }
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }

  /** The number of some bits. */
  float value(short bits) {
    return this == FLOAT16
        ? Float.float16ToFloat(bits)
        : Float.intBitsToFloat(Short.toUnsignedInt(bits) << 16);
  }
}
