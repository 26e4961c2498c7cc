package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.packed.Words;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/** Reads the tensors of one module and checks them against the settings. */
final class MlxReader {
  private static final String SCALES = ".scales";
  private static final String WEIGHT = ".weight";
  private static final String BIASES = ".biases";

  private final Checkpoint checkpoint;
  private final String prefix;
  private final MlxSettings.Affine settings;
  private final Arena arena = Arena.ofAuto();

  MlxReader(Checkpoint checkpoint, String prefix, MlxSettings config) {
    this.checkpoint = checkpoint;
    this.prefix = prefix;
    this.settings = config.of(prefix);
  }

  /** Whether a checkpoint holds the module in this form. */
  static boolean has(Checkpoint checkpoint, String module) {
    return checkpoint.find(module + SCALES).isPresent()
        && checkpoint
            .find(module + WEIGHT)
            .filter(stored -> stored.type() == StoredType.U32)
            .isPresent();
  }

  /** Checks types and shapes against a layer; the data is not looked at. */
  void check(int outputs, int inputs) {
    StoredTensor weight = weight();
    if (weight.rows() != outputs || columns(weight) != inputs) {
      throw new BadInputException(
          "%s: module %s is packed as %d x %d but config.json makes it %d x %d; is one of the two of"
                  .formatted(weight.file(), prefix, weight.rows(), columns(weight), outputs, inputs)
              + " another model?");
    }
    grids(SCALES, weight);
    grids(BIASES, weight);
  }

  private StoredTensor weight() {
    int bits = settings.bits();
    if (!MlxFormat.WIDTHS.contains(bits)) {
      throw new BadInputException(
          "%s: module '%s' has codes of %d bits; these can be read: %s"
              .formatted(checkpoint.folder(), prefix, bits, MlxFormat.WIDTHS));
    }
    StoredTensor weight = checkpoint.require(prefix + WEIGHT);
    if (weight.type() != StoredType.U32
        || weight.columns() == 0
        || weight.columns() * 32L % bits != 0
        || columns(weight) % settings.groupSize() != 0) {
      throw wrong(weight, "U32 words of %d bits in groups of %d");
    }
    return weight;
  }

  private int columns(StoredTensor weight) {
    return Math.toIntExact(weight.columns() * 32L / settings.bits());
  }

  private StoredTensor grids(String suffix, StoredTensor weight) {
    StoredTensor stored = checkpoint.require(prefix + suffix);
    List<Long> shape = List.of((long) weight.rows(), (long) columns(weight) / settings.groupSize());
    if (!stored.shape().equals(shape) || stored.type().toDType().filter(DType::isReal).isEmpty()) {
      throw wrong(stored, "real numbers " + shape + " at %d bits with groups of %d");
    }
    return stored;
  }

  StoredLinear read() {
    StoredTensor weight = weight();
    StoredTensor scales = grids(SCALES, weight);
    StoredTensor biases = grids(BIASES, weight);
    int rows = weight.rows();
    int groups = scales.columns();
    MemorySegment steps = arena.allocate(4L * groups * rows, 8);
    MemorySegment zeros = arena.allocate(4L * groups * rows, 8);
    boolean fixed = true;
    for (int o = 0; o < rows; o++) {
      for (int g = 0; g < groups; g++) {
        float scale = number(scales, (long) o * groups + g);
        float zero = zero(scale, number(biases, (long) o * groups + g));
        steps.setAtIndex(Elements.FLOAT, (long) g * rows + o, scale);
        zeros.setAtIndex(Elements.FLOAT, (long) g * rows + o, zero);
        fixed &= zero == Scheme.SYMMETRIC.fixedZero(settings.bits());
      }
    }
    return new StoredLinear(
        new PackedMatrix(
            fixed ? Scheme.SYMMETRIC : Scheme.ASYMMETRIC,
            settings.bits(),
            rows,
            columns(weight),
            groups,
            Words.transposed(weight.data(), rows, weight.columns(), arena),
            steps,
            fixed ? Optional.empty() : Optional.of(zeros),
            Optional.empty()),
        ImmutableList.of());
  }

  private static float number(StoredTensor stored, long index) {
    float value = Elements.get(stored, index);
    if (!Float.isFinite(value)) {
      throw new BadInputException(
          "%s: tensor '%s' holds %s; quantize the model again"
              .formatted(stored.file(), stored.name(), value));
    }
    return value;
  }

  /** The code that stands for zero, which need not be an integer: {@code scale·zero = −bias}. */
  private float zero(float scale, float bias) {
    if (bias == 0) {
      return 0;
    }
    float zero = -bias / scale;
    if (!Float.isFinite(zero)) {
      throw new BadInputException(
          "%s: module '%s' has a group with the scale %s and the bias %s, which cannot be read"
              .formatted(checkpoint.folder(), prefix, scale, bias));
    }
    return zero;
  }

  private BadInputException wrong(StoredTensor tensor, String expected) {
    return new BadInputException(
        "%s: tensor %s should be %s; does the quantization configuration belong to this file?"
            .formatted(
                tensor.file(),
                tensor.describe(),
                expected.formatted(settings.bits(), settings.groupSize())));
  }
}
