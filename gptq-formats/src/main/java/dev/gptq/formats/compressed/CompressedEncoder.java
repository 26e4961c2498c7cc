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
            Words.transposed(matrix.words(), words, matrix.rows(), arena),
            rows,
            (long) words));
    StoredType type = scaleType();
    tensors.add(module.tensor("weight_scale", type, scales(type), rows, groups));
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
  private StoredType scaleType() {
    return Stream.of(module.modelType(), StoredType.F16, StoredType.F32)
        .filter(this::holdsScales)
        .findFirst()
        .orElseThrow();
  }

  private boolean holdsScales(StoredType type) {
    long count = (long) matrix.groups() * matrix.rows();
    for (long i = 0; i < count; i++) {
      float scale = matrix.scales().getAtIndex(Elements.FLOAT, i);
      if (!Float.isFinite(scale)) {
        throw new BadInputException("module '" + module.name() + "' has the scale " + scale);
      }
      if (!Elements.holds(type, scale)) {
        return false;
      }
    }
    return true;
  }

  private MemorySegment scales(StoredType type) {
    long count = (long) matrix.groups() * matrix.rows();
    MemorySegment scales = arena.allocate(type.bytes() * count, 8);
    for (int o = 0; o < matrix.rows(); o++) {
      for (int g = 0; g < matrix.groups(); g++) {
        Elements.put(scales, type, (long) o * matrix.groups() + g, matrix.scale(o, g));
      }
    }
    return scales;
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
