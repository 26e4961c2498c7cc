package dev.gptq.formats.compressed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.Words;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;

/** Makes the tensors of one module; see {@link CompressedFormat}. */
final class CompressedEncoder {
  private final PackedModule module;
  private final PackedMatrix matrix;
  private final Arena arena = Arena.ofAuto();

  CompressedEncoder(PackedModule module) {
    this.module = module;
    this.matrix = module.matrix();
  }

  ImmutableList<StoredTensor> encode() {
    long rows = matrix.rows();
    long groups = matrix.groups();
    ImmutableList.Builder<StoredTensor> tensors = ImmutableList.builder();
    int words = BitStream.words(matrix.columns(), matrix.bits());
    tensors.add(
        module.tensor(
            "weight_packed",
            StoredType.I32,
            () -> Words.transposed(matrix.words(), words, matrix.rows(), Arena.ofAuto()),
            rows,
            (long) words));
    float[] scales = matrix.scales().toArray(Elements.FLOAT);
    StoredType type = scaleType(scales);
    tensors.add(module.tensor("weight_scale", type, inRows(type, scales), rows, groups));
    if (matrix.zeros().isPresent()) {
      long zeroWords = BitStream.words(matrix.rows(), matrix.bits());
      tensors.add(module.tensor("weight_zero_point", StoredType.I32, zeros(), zeroWords, groups));
    }
    MemorySegment shape = arena.allocate(16, 8);
    shape.setAtIndex(Elements.LONG, 0, rows);
    shape.setAtIndex(Elements.LONG, 1, matrix.columns());
    tensors.add(module.tensor("weight_shape", StoredType.I64, shape, 2L));
    module.namedBias().ifPresent(tensors::add);
    return tensors.build();
  }

  /** The type of the model if it holds all scales, else the first that does. */
  private StoredType scaleType(float[] scales) {
    return Stream.of(module.modelType(), StoredType.F16, StoredType.F32)
        .filter(type -> holds(type, scales))
        .findFirst()
        .orElseThrow();
  }

  private boolean holds(StoredType type, float[] scales) {
    for (float scale : scales) {
      if (!Float.isFinite(scale)) {
        throw new BadInputException("module '" + module.name() + "' has the scale " + scale);
      }
      if (!Elements.holds(type, scale)) {
        return false;
      }
    }
    return true;
  }

  /** Numbers of groups × rows as rows × groups. */
  private MemorySegment inRows(StoredType type, float[] scales) {
    int groups = matrix.groups();
    float[] transposed = new float[scales.length];
    for (int g = 0; g < groups; g++) {
      for (int o = 0; o < matrix.rows(); o++) {
        transposed[o * groups + g] = scales[g * matrix.rows() + o];
      }
    }
    MemorySegment data = arena.allocate((long) type.bytes() * scales.length, 8);
    Elements.put(data, type, transposed);
    return data;
  }

  private MemorySegment zeros() {
    int words = BitStream.words(matrix.rows(), matrix.bits());
    MemorySegment zeros = arena.allocate(4L * words * matrix.groups(), 8);
    for (int g = 0; g < matrix.groups(); g++) {
      for (int o = 0; o < matrix.rows(); o++) {
        BitStream.put(zeros, matrix.groups(), g, o, matrix.bits(), zero(o, g));
      }
    }
    return zeros;
  }

  private int zero(int o, int g) {
    float zero = matrix.zero(o, g);
    if ((int) zero != zero || zero < 0 || zero > matrix.scheme().maxCode(matrix.bits())) {
      throw GroupRefusals.noInteger(module.name(), zero, CompressedFormat.ID);
    }
    return (int) zero;
  }
}
