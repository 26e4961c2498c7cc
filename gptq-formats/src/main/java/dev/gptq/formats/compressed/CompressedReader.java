package dev.gptq.formats.compressed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.packed.Words;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/** Reads the tensors of one module and checks them against the settings. */
final class CompressedReader {
  private static final String CODES = "weight_packed";

  private final Checkpoint checkpoint;
  private final String prefix;
  private final CompressedSettings config;
  private final ModuleSettings settings;
  private final Arena arena = Arena.ofAuto();

  CompressedReader(Checkpoint checkpoint, String prefix, CompressedSettings config) {
    this.checkpoint = checkpoint;
    this.prefix = prefix;
    this.config = config;
    this.settings =
        config
            .settingsFor(prefix)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: module '%s' is quantized but no group of the configuration targets it"
                        .formatted(checkpoint.folder(), prefix)));
  }

  /** Whether a checkpoint holds the module in this form. */
  static boolean has(Checkpoint checkpoint, String module) {
    return checkpoint.find(module + "." + CODES).isPresent();
  }

  /**
   * Checks types and shapes against a layer; of the data only {@code weight_shape} is looked at.
   */
  void check(int outputs, int inputs) {
    Parts parts = parts();
    if (parts.rows() != outputs || parts.columns() != inputs) {
      throw new BadInputException(
          "%s: module %s is packed as %d x %d but config.json makes it %d x %d; is one of the two of"
                  .formatted(
                      parts.packed().file(), prefix, parts.rows(), parts.columns(), outputs, inputs)
              + " another model?");
    }
  }

  /** The tensors of the module, whose types and shapes agree. */
  private record Parts(
      StoredTensor packed,
      boolean loose,
      StoredTensor scale,
      Optional<StoredTensor> zero,
      Optional<StoredTensor> index,
      int rows,
      int columns,
      int groups) {}

  private Parts parts() {
    int bits = settings.bits();
    if (!GridSpec.isWidth(bits)) {
      throw new BadInputException(
          "%s: module '%s' has codes of %d bits; 2 to 8 can be read"
              .formatted(checkpoint.folder(), prefix, bits));
    }
    StoredTensor packed = checkpoint.require(prefix + "." + CODES);
    StoredTensor shape = checkpoint.require(prefix + ".weight_shape");
    if (shape.type() != StoredType.I64 || !shape.shape().equals(List.of(2L))) {
      throw wrong(shape, "I64 [2]");
    }
    int rows = dimension(shape, 0);
    int columns = dimension(shape, 1);
    int groups = settings.groups(columns);
    StoredTensor scale = checkpoint.require(prefix + ".weight_scale");
    requireShape(scale, rows, groups);
    if (scale.type().toDType().filter(DType::isReal).isEmpty()) {
      throw wrong(scale, "F16, BF16 or F32");
    }
    Optional<StoredTensor> zero = Optional.empty();
    if (!settings.sym()) {
      zero = Optional.of(checkpoint.require(prefix + ".weight_zero_point"));
      require(zero.get(), StoredType.I32);
      requireShape(zero.get(), BitStream.words(rows, bits), groups);
    }
    return new Parts(
        packed,
        isLoose(packed, rows, columns),
        scale,
        zero,
        index(columns, groups),
        rows,
        columns,
        groups);
  }

  StoredLinear read() {
    Parts parts = parts();
    int rows = parts.rows();
    int columns = parts.columns();
    int groups = parts.groups();
    return new StoredLinear(
        new PackedMatrix(
            parts.zero().isPresent() ? Scheme.ASYMMETRIC : Scheme.SYMMETRIC,
            settings.bits(),
            rows,
            columns,
            groups,
            words(parts),
            scales(parts.scale(), rows, groups),
            parts.zero().map(stored -> zeros(stored, rows, groups)),
            parts.index().map(stored -> groupOf(stored, columns, groups))),
        ImmutableList.of());
  }

  private int dimension(StoredTensor shape, int index) {
    long size = shape.data().getAtIndex(Elements.LONG, index);
    if (size <= 0 || size > Integer.MAX_VALUE) {
      throw new BadInputException(
          "%s: tensor '%s' says that a weight has %d rows or columns; download the file again"
              .formatted(shape.file(), shape.name(), size));
    }
    return (int) size;
  }

  /** Whether no code goes on in the next word, as in releases before 0.18. */
  private boolean isLoose(StoredTensor packed, int rows, int columns) {
    int dense = BitStream.words(columns, settings.bits());
    int loose = Math.ceilDiv(columns, 32 / settings.bits());
    boolean isLoose =
        32 % settings.bits() != 0
            && (dense == loose
                ? !config.denseWords()
                : packed.shape().equals(List.of((long) rows, (long) loose)));
    require(packed, StoredType.I32);
    requireShape(packed, rows, isLoose ? loose : dense);
    return isLoose;
  }

  private MemorySegment words(Parts parts) {
    int words = parts.packed().columns();
    return parts.loose()
        ? repacked(parts.packed().data(), parts.rows(), parts.columns(), words)
        : Words.transposed(parts.packed().data(), parts.rows(), words, arena);
  }

  /** Codes of releases before 0.18, which begin no code in the last bits of a word. */
  private MemorySegment repacked(MemorySegment words, int rows, int columns, int loose) {
    int bits = settings.bits();
    int perWord = 32 / bits;
    MemorySegment dense = arena.allocate(4L * BitStream.words(columns, bits) * rows, 8);
    for (int o = 0; o < rows; o++) {
      for (int i = 0; i < columns; i++) {
        int word = words.getAtIndex(Elements.INT, (long) o * loose + i / perWord);
        int code = word >>> (i % perWord * bits) & ((1 << bits) - 1);
        BitStream.put(dense, rows, o, i, bits, code);
      }
    }
    return dense;
  }

  private MemorySegment scales(StoredTensor scale, int rows, int groups) {
    MemorySegment scales = arena.allocate(4L * groups * rows, 8);
    for (int o = 0; o < rows; o++) {
      for (int g = 0; g < groups; g++) {
        float value = Elements.get(scale, (long) o * groups + g);
        if (!Float.isFinite(value)) {
          throw new BadInputException(
              "%s: tensor '%s' holds the scale %s; quantize the model again"
                  .formatted(scale.file(), scale.name(), value));
        }
        scales.setAtIndex(Elements.FLOAT, (long) g * rows + o, value);
      }
    }
    return scales;
  }

  private MemorySegment zeros(StoredTensor stored, int rows, int groups) {
    MemorySegment zeros = arena.allocate(4L * groups * rows, 8);
    for (int g = 0; g < groups; g++) {
      for (int o = 0; o < rows; o++) {
        int zero = BitStream.get(stored.data(), groups, g, o, settings.bits());
        zeros.setAtIndex(Elements.FLOAT, (long) g * rows + o, zero);
      }
    }
    return zeros;
  }

  /** The groups of the columns, if they are stored. */
  private Optional<StoredTensor> index(int columns, int groups) {
    Optional<StoredTensor> stored = checkpoint.find(prefix + ".weight_g_idx");
    if (stored.isEmpty()) {
      if (columns % groups != 0) {
        throw new BadInputException(
            "%s: module '%s' has %d columns in %d groups of unequal size"
                .formatted(checkpoint.folder(), prefix, columns, groups));
      }
      return Optional.empty();
    }
    require(stored.get(), StoredType.I32);
    if (!stored.get().shape().equals(List.of((long) columns))) {
      throw wrong(stored.get(), "[" + columns + "]");
    }
    return stored;
  }

  private static int[] groupOf(StoredTensor stored, int columns, int groups) {
    int[] groupOf = new int[columns];
    for (int i = 0; i < columns; i++) {
      groupOf[i] = stored.data().getAtIndex(Elements.INT, i);
      if (groupOf[i] < 0 || groupOf[i] >= groups) {
        throw new BadInputException(
            "%s: tensor '%s' puts column %d into group %d but there are %d"
                .formatted(stored.file(), stored.name(), i, groupOf[i], groups));
      }
    }
    return groupOf;
  }

  private void require(StoredTensor tensor, StoredType type) {
    if (tensor.type() != type) {
      throw wrong(tensor, type.toString());
    }
  }

  private void requireShape(StoredTensor tensor, long rows, long columns) {
    if (!tensor.shape().equals(List.of(rows, columns))) {
      throw wrong(
          tensor,
          "[%d, %d] at %d bits with groups of %d"
              .formatted(rows, columns, settings.bits(), settings.groupSize()));
    }
  }

  private BadInputException wrong(StoredTensor tensor, String expected) {
    return new BadInputException(
        "%s: tensor %s should be %s; does the quantization configuration belong to this file?"
            .formatted(tensor.file(), tensor.describe(), expected));
  }
}
