package dev.gptq.formats.safetensors;

import dev.gptq.tensor.DType;
import java.util.Optional;

/** Element types of a safetensors file; the constants are named as in the file. */
public enum StoredType {
  /** IEEE binary64. */
  F64(8),
  /** IEEE binary32. */
  F32(4),
  /** IEEE binary16. */
  F16(2),
  /** bfloat16: the upper half of a binary32. */
  BF16(2),
  /** 8 bits: 4 of exponent, 3 of mantissa, no infinities. */
  F8_E4M3(1),
  /** 8 bits: 5 of exponent, 2 of mantissa. */
  F8_E5M2(1),
  /** A power of two: 8 bits of exponent. */
  F8_E8M0(1),
  /** Two IEEE binary32. */
  C64(8),
  /** Signed 64-bit integer. */
  I64(8),
  /** Unsigned 64-bit integer. */
  U64(8),
  /** Unsigned 32-bit integer. */
  U32(4),
  /** Unsigned 16-bit integer. */
  U16(2),
  /** Signed 32-bit integer. */
  I32(4),
  /** Signed 16-bit integer. */
  I16(2),
  /** Signed 8-bit integer. */
  I8(1),
  /** Unsigned 8-bit integer. */
  U8(1),
  /** A byte that is 0 or 1. */
  BOOL(1);

  private final int bytes;

  StoredType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** The type of that name in a file, if it is one of these. */
  public static Optional<StoredType> find(String name) {
    for (StoredType type : values()) {
      if (type.name().equals(name)) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }

  /** The type of a backend's tensor with the same bits, if backends have one. */
  public Optional<DType> toDType() {
    return switch (this) {
      case F64 -> Optional.of(DType.F64);
      case F32 -> Optional.of(DType.F32);
      case F16 -> Optional.of(DType.F16);
      case BF16 -> Optional.of(DType.BF16);
      case I32 -> Optional.of(DType.I32);
      case U8 -> Optional.of(DType.U8);
      case F8_E4M3, F8_E5M2, F8_E8M0, C64, I64, U64, U32, U16, I16, I8, BOOL -> Optional.empty();
    };
  }

  /** The type of a file with the same bits as a backend's. */
  public static StoredType of(DType type) {
    return switch (type) {
      case F64 -> F64;
      case F32 -> F32;
      case F16 -> F16;
      case BF16 -> BF16;
      case I32 -> I32;
      case U8 -> U8;
    };
  }
}
