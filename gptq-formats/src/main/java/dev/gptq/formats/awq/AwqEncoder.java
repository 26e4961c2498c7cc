package dev.gptq.formats.awq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/** Makes the tensors of one module; see {@link AwqFormat}. */
final class AwqEncoder {
  private final PackedModule module;
  private final PackedMatrix matrix;
  private final int words;
  private final Arena arena = Arena.ofAuto();

  AwqEncoder(PackedModule module) {
    this.module = module;
    this.matrix = module.matrix();
    this.words = matrix.rows() / AwqWords.OUTPUTS;
  }

  ImmutableList<StoredTensor> encode() {
    long groups = matrix.groups();
    ImmutableList.Builder<StoredTensor> tensors = ImmutableList.builder();
    tensors.add(
        module.tensor("qweight", StoredType.I32, codes(), (long) matrix.columns(), (long) words),
        module.tensor("qzeros", StoredType.I32, zeros(), groups, (long) words),
        module.tensor("scales", StoredType.F16, scales(), groups, (long) matrix.rows()));
    module.namedBias().ifPresent(tensors::add);
    return tensors.build();
  }

  private MemorySegment codes() {
    MemorySegment codes = arena.allocate(4L * words * matrix.columns(), 8);
    IntStream.range(0, matrix.columns())
        .parallel()
        .forEach(i -> {
          for (int o = 0; o < matrix.rows(); o++) {
            AwqWords.put(codes, (long) i * words, o, matrix.code(o, i));
          }
        });
    return codes;
  }

  private MemorySegment zeros() {
    MemorySegment zeros = arena.allocate(4L * words * matrix.groups(), 8);
    for (int g = 0; g < matrix.groups(); g++) {
      for (int o = 0; o < matrix.rows(); o++) {
        AwqWords.put(zeros, (long) g * words, o, zero(o, g));
      }
    }
    return zeros;
  }

  private int zero(int o, int g) {
    float zero = matrix.zero(o, g);
    if ((int) zero != zero || zero < 0 || zero > matrix.scheme().maxCode(AwqFormat.BITS)) {
      throw GroupRefusals.noInteger(module.name(), zero, AwqFormat.ID);
    }
    return (int) zero;
  }

  private MemorySegment scales() {
    MemorySegment scales = arena.allocate(2L * matrix.groups() * matrix.rows(), 8);
    for (int g = 0; g < matrix.groups(); g++) {
      for (int o = 0; o < matrix.rows(); o++) {
        float scale = matrix.scale(o, g);
        if (!Elements.holds(StoredType.F16, scale)) {
          throw new BadInputException(
              "module '%s': scale %s is no float16; quantize with float16 scales"
                  .formatted(module.name(), scale));
        }
        Elements.put(scales, StoredType.F16, (long) g * matrix.rows() + o, scale);
      }
    }
    return scales;
  }
}
