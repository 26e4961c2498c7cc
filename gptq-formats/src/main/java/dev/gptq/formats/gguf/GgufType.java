package dev.gptq.formats.gguf;

import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Offsets;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.GridSpec;
import dev.gptq.pack.PackedMatrix;
import java.util.Arrays;
import java.util.Optional;

/**
 * Element types of a GGUF file; the constants are named as llama.cpp does. All of them are read;
 * {@link #of(StoredType)} and {@link #of(ModuleSettings)} are those that are written.
 */
public enum GgufType {
  /** IEEE binary32. */
  F32(0, 1, 4, 0),
  /** IEEE binary16. */
  F16(1, 1, 2, 1),
  /** bfloat16. */
  BF16(30, 1, 2, 32),
  /** 32 codes of 4 bits with a scale: {@code d·(u − 8)}. */
  Q4_0(2, 32, 18, 2),
  /** 32 codes of 4 bits with scale and offset: {@code d·u + m}. */
  Q4_1(3, 32, 20, 3),
  /** 32 codes of 5 bits with a scale: {@code d·(u − 16)}. */
  Q5_0(6, 32, 22, 8),
  /** 32 codes of 5 bits with scale and offset: {@code d·u + m}. */
  Q5_1(7, 32, 24, 9),
  /** 32 codes of 8 bits with a scale: {@code d·q}. */
  Q8_0(8, 32, 34, 7),
  /** 256 codes of 2 bits; scale and offset of each 16 in 4 bits. */
  Q2_K(10, 256, 84, 10),
  /** 256 codes of 3 bits; scale of each 16 in 6 bits. */
  Q3_K(11, 256, 110, 12),
  /** 256 codes of 4 bits; scale and offset of each 32 in 6 bits. */
  Q4_K(12, 256, 144, 15),
  /** 256 codes of 5 bits; scale and offset of each 32 in 6 bits. */
  Q5_K(13, 256, 176, 17),
  /** 256 codes of 6 bits; scale of each 16 in 8 bits. */
  Q6_K(14, 256, 210, 18),
  /** 32 floating-point numbers of 4 bits with a power of two. */
  MXFP4(39, 32, 17, 38);

  private final int id;
  private final int block;
  private final int bytes;
  private final int fileType;

  GgufType(int id, int block, int bytes, int fileType) {
    this.id = id;
    this.block = block;
    this.bytes = bytes;
    this.fileType = fileType;
  }

  /** The type of that number, if it is one of these. */
  static Optional<GgufType> find(int id) {
    return Arrays.stream(values()).filter(type -> type.id == id).findFirst();
  }

  /** Its number in a file. */
  public int id() {
    return id;
  }

  /** Elements of a block, which lie side by side in a row. */
  public int block() {
    return block;
  }

  /** {@code general.file_type} of a file that is mostly of this type. */
  public int fileType() {
    return fileType;
  }

  /** Bytes of so many elements, whole blocks. */
  public long bytes(long elements) {
    return elements / block * bytes;
  }

  /** Whether it is a type of real numbers that safetensors has as well. */
  public boolean isPlain() {
    return block == 1;
  }

  /** The type with the same bits as one of safetensors, for matrices that are not quantized. */
  public static Optional<GgufType> of(StoredType type) {
    return switch (type) {
      case F32 -> Optional.of(F32);
      case F16 -> Optional.of(F16);
      case BF16 -> Optional.of(BF16);
      default -> Optional.empty();
    };
  }

  /** The blocks of 256 that hold a matrix with quantized scales, if it is one. */
  public static Optional<GgufType> of(PackedMatrix matrix) {
    return GgufSuperBlocks.find(matrix).map(type -> valueOf(type.name()));
  }

  /** The type that holds a module of those settings; see {@link #refusal}. */
  public static GgufType of(ModuleSettings settings) {
    return switch (settings.bits()) {
      case 6, 7, 8 -> Q8_0;
      case 5 -> settings.sym() ? Q5_0 : Q5_1;
      default -> settings.sym() ? Q4_0 : Q4_1;
    };
  }

  /**
   * Significant bits of a scale with which the type of a grid is exact: any number in float16 where
   * that is all there is, and with offsets {@code scale·zero} in float16, too.
   */
  public static int scaleBits(int bits, boolean sym) {
    return sym ? GridSpec.ALL_SCALE_BITS : Offsets.scaleBits(bits);
  }

  /** Why no type holds a module, as the end of a sentence; empty if one does. */
  public static Optional<String> refusal(ModuleSettings settings, int columns) {
    if (settings.bits() > 5 && !settings.sym()) {
      return Optional.of("has " + settings.bits() + " bits for symmetric grids only");
    }
    Optional<String> scattered = GroupRefusals.scattered(settings);
    if (scattered.isPresent()) {
      return scattered;
    }
    if (settings.groupSize() != -1 && settings.groupSize() % 32 != 0) {
      return Optional.of("has blocks of 32, and " + settings.groupSize() + " is no multiple of 32");
    }
    return columns % 32 == 0
        ? Optional.empty()
        : Optional.of("has blocks of 32, and a row of %d is no multiple of 32".formatted(columns));
  }
}
