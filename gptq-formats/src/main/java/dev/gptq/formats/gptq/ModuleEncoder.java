package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Optional;

/** Makes the tensors of one quantized module. */
final class ModuleEncoder {
  private final String prefix;
  private final PackedMatrix matrix;
  private final Version version;
  private final Path origin;

  /** Nothing is encoded yet; {@code origin} is the file that the tensors name as theirs. */
  ModuleEncoder(String prefix, PackedMatrix matrix, Version version, Path origin) {
    this.prefix = prefix;
    this.matrix = matrix;
    this.version = version;
    this.origin = origin;
  }

  ImmutableList<StoredTensor> encode(Optional<StoredTensor> bias) {
    long rows = matrix.rows();
    long groups = matrix.groups();
    long in = BitStream.words(matrix.columns(), matrix.bits());
    long out = BitStream.words(matrix.rows(), matrix.bits());
    Arena arena = Arena.ofAuto();
    ImmutableList.Builder<StoredTensor> tensors = ImmutableList.builder();
    tensors.add(
        tensor("qweight", StoredType.I32, matrix.words(), in, rows),
        tensor("qzeros", StoredType.I32, zeros(arena), groups, out),
        tensor("scales", StoredType.F16, scales(arena), groups, rows),
        tensor("g_idx", StoredType.I32, groupIndices(arena), (long) matrix.columns()));
    bias.ifPresent(
        b -> tensors.add(tensor("bias", StoredType.F16, Elements.toHalves(b, arena), rows)));
    return tensors.build();
  }

  private StoredTensor tensor(String suffix, StoredType type, MemorySegment data, Long... shape) {
    return new StoredTensor(
        prefix + "." + suffix, type, ImmutableList.copyOf(shape), origin, data.asReadOnly());
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
      throw GroupRefusals.noInteger(prefix, zero, version.id());
    }
    if (field < 0) {
      throw new BadInputException(
          "module '%s': format gptq cannot store a zero point of 0; write format gptq_v2, or quantize the model again with --format gptq"
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
