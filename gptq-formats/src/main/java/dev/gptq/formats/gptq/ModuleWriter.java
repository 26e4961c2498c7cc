package dev.gptq.formats.gptq;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Writes the tensors of one quantized module. */
final class ModuleWriter {
  private final CheckpointWriter writer;
  private final String prefix;
  private final PackedMatrix matrix;
  private final Version version;

  ModuleWriter(CheckpointWriter writer, String prefix, PackedMatrix matrix, Version version) {
    this.writer = writer;
    this.prefix = prefix;
    this.matrix = matrix;
    this.version = version;
  }

  void write(Optional<StoredTensor> bias) throws IOException {
    long rows = matrix.rows();
    long groups = matrix.groups();
    long in = BitStream.words(matrix.columns(), matrix.bits());
    long out = BitStream.words(matrix.rows(), matrix.bits());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment zeros = zeros(arena);
      MemorySegment scales = scales(arena);
      add("qweight", StoredType.I32, matrix.words(), in, rows);
      add("qzeros", StoredType.I32, zeros, groups, out);
      add("scales", StoredType.F16, scales, groups, rows);
      add("g_idx", StoredType.I32, groupIndices(arena), matrix.columns());
      if (bias.isPresent()) {
        add("bias", StoredType.F16, Elements.toHalves(bias.get(), arena), rows);
      }
    }
  }

  private void add(String suffix, StoredType type, MemorySegment data, long... shape)
      throws IOException {
    writer.add(prefix + "." + suffix, type, shape, data);
  }

  private MemorySegment zeros(Arena arena) {
    long rowBytes = 4L * BitStream.words(matrix.rows(), matrix.bits());
    MemorySegment words = arena.allocate(rowBytes * matrix.groups());
    for (int g = 0; g < matrix.groups(); g++) {
      MemorySegment row = words.asSlice(g * rowBytes, rowBytes);
      for (int o = 0; o < matrix.rows(); o++) {
        BitStream.put(row, 1, 0, o, matrix.bits(), zeroField(g, o));
      }
    }
    return words;
  }

  private int zeroField(int group, int output) {
    float zero =
        matrix.zeros().isPresent()
            ? matrix.zeros().get().getAtIndex(Elements.FLOAT, index(group, output))
            : matrix.scheme().fixedZero(matrix.bits());
    int field = (int) zero - (version == Version.V1 ? 1 : 0);
    if ((int) zero != zero || field > matrix.scheme().maxCode(matrix.bits()) || zero < 0) {
      throw new BadInputException(
          "module '%s': zero point %s cannot be stored in %s; use scheme sym or asym"
              .formatted(prefix, zero, version.id()));
    }
    if (field < 0) {
      throw new BadInputException(
          "module '%s': format gptq cannot store a zero point of 0; write format gptq_v2"
              .formatted(prefix));
    }
    return field;
  }

  private MemorySegment scales(Arena arena) {
    long count = (long) matrix.groups() * matrix.rows();
    MemorySegment halves = arena.allocate(2 * count, 8);
    for (long i = 0; i < count; i++) {
      float scale = matrix.scales().getAtIndex(Elements.FLOAT, i);
      short half = Float.floatToFloat16(scale);
      if (Float.float16ToFloat(half) != scale) {
        throw new BadInputException(
            "module '%s': scale %s is no float16; quantize with float16 scales"
                .formatted(prefix, scale));
      }
      halves.setAtIndex(Elements.HALF, i, half);
    }
    return halves;
  }

  private MemorySegment groupIndices(Arena arena) {
    MemorySegment indices = arena.allocate(4L * matrix.columns());
    for (int i = 0; i < matrix.columns(); i++) {
      indices.setAtIndex(Elements.INT, i, matrix.group(i));
    }
    return indices;
  }

  private long index(int group, int output) {
    return (long) group * matrix.rows() + output;
  }
}
