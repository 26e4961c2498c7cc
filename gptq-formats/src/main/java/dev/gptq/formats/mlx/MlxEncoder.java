package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.Words;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/**
 * Makes the tensors of one module; see {@link MlxFormat}. Their elements are computed when they are
 * asked for, so that a stack of experts is in memory one tensor at a time.
 */
final class MlxEncoder {
  private final PackedModule module;
  private final PackedMatrix matrix;
  private final int groupSize;
  private final int groups;

  MlxEncoder(PackedModule module) {
    this.module = module;
    this.matrix = module.matrix();
    this.groupSize = MlxFormat.groupSize(module.settings());
    this.groups = matrix.columns() / groupSize;
  }

  ImmutableList<StoredTensor> encode() {
    int words = BitStream.words(matrix.columns(), matrix.bits());
    StoredType type = type();
    ImmutableList.Builder<StoredTensor> tensors = ImmutableList.builder();
    tensors.add(
        tensor(
            "weight",
            StoredType.U32,
            () -> Words.transposed(matrix.words(), words, matrix.rows(), Arena.ofAuto()),
            words),
        tensor("scales", type, () -> scales(type), groups),
        tensor("biases", type, () -> biases(type), groups));
    module.namedBias().ifPresent(tensors::add);
    return tensors.build();
  }

  private StoredTensor tensor(
      String suffix, StoredType type, Supplier<MemorySegment> data, long columns) {
    return module.tensor(suffix, type, data, (long) matrix.rows(), columns);
  }

  /**
   * The type of the model if it holds all scales and offsets; else float16 if it holds the scales,
   * where an offset is rounded by at most 0.0073 of a step of 4 bits; else float32.
   */
  private StoredType type() {
    if (holds(module.modelType(), true)) {
      return module.modelType();
    }
    return holds(StoredType.F16, false) ? StoredType.F16 : StoredType.F32;
  }

  private boolean holds(StoredType type, boolean offsets) {
    for (int o = 0; o < matrix.rows(); o++) {
      for (int g = 0; g < matrix.groups(); g++) {
        float scale = matrix.scale(o, g);
        if (!Float.isFinite(scale)) {
          throw new BadInputException("module '" + module.name() + "' has the scale " + scale);
        }
        float offset = offset(o, g);
        if (!Elements.holds(type, scale)
            || (offsets && !Elements.holds(type, offset))
            || !Float.isFinite(Elements.rounded(type, offset))) {
          return false;
        }
      }
    }
    return true;
  }

  private float offset(int o, int g) {
    return -(matrix.scale(o, g) * matrix.zero(o, g));
  }

  private MemorySegment scales(StoredType type) {
    MemorySegment scales = Arena.ofAuto().allocate((long) type.bytes() * groups * matrix.rows(), 8);
    for (int o = 0; o < matrix.rows(); o++) {
      for (int k = 0; k < groups; k++) {
        float scale = matrix.scale(o, matrix.group(k * groupSize));
        Elements.put(scales, type, (long) o * groups + k, scale);
      }
    }
    return scales;
  }

  private MemorySegment biases(StoredType type) {
    MemorySegment biases = Arena.ofAuto().allocate((long) type.bytes() * groups * matrix.rows(), 8);
    for (int o = 0; o < matrix.rows(); o++) {
      for (int k = 0; k < groups; k++) {
        float offset = offset(o, matrix.group(k * groupSize));
        Elements.put(biases, type, (long) o * groups + k, Elements.rounded(type, offset));
      }
    }
    return biases;
  }
}
