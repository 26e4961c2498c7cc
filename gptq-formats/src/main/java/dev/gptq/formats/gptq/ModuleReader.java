package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Reads the tensors of one quantized module and checks them against the settings. */
final class ModuleReader {
  private static final int MOST_COLUMNS = 1 << 26;

  private final Checkpoint checkpoint;
  private final String prefix;
  private final GptqConfig config;
  private final ModuleSettings settings;

  ModuleReader(Checkpoint checkpoint, String prefix, GptqConfig config) {
    this.checkpoint = checkpoint;
    this.prefix = prefix;
    this.config = config;
    this.settings =
        config
            .settingsFor(prefix)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: module '%s' is quantized but a rule of the configuration skips it"
                        .formatted(checkpoint.folder(), prefix)));
  }

  /** Checks types and shapes against a layer; the data is not looked at. */
  void check(int outputs, int inputs) {
    Parts parts = parts();
    if (parts.rows() != outputs || parts.columns() != inputs) {
      throw new BadInputException(
          "%s: module %s is packed as %d x %d but config.json makes it %d x %d; is one of the two of"
                  .formatted(
                      parts.qweight().file(),
                      prefix,
                      parts.rows(),
                      parts.columns(),
                      outputs,
                      inputs)
              + " another model?");
    }
  }

  /** The tensors of the module, whose types and shapes agree. */
  private record Parts(
      StoredTensor qweight,
      StoredTensor scales,
      StoredTensor qzeros,
      int rows,
      int columns,
      int groups) {}

  private Parts parts() {
    StoredTensor qweight = checkpoint.require(prefix + ".qweight");
    require(qweight, StoredType.I32);
    int rows = qweight.columns();
    int columns = columns(qweight);
    if (rows == 0 || columns == 0) {
      throw wrong(qweight, "larger");
    }
    int groups = settings.groups(columns);
    requireShape(qweight, BitStream.words(columns, settings.bits()), rows);
    StoredTensor scales = checkpoint.require(prefix + ".scales");
    requireShape(scales, groups, rows);
    if (scales.type().toDType().filter(DType::isReal).isEmpty()) {
      throw wrong(scales, "F16, BF16 or F32");
    }
    StoredTensor qzeros = checkpoint.require(prefix + ".qzeros");
    require(qzeros, StoredType.I32);
    requireShape(qzeros, groups, BitStream.words(rows, settings.bits()));
    return new Parts(qweight, scales, qzeros, rows, columns, groups);
  }

  StoredLinear read() {
    Parts parts = parts();
    int rows = parts.rows();
    int columns = parts.columns();
    int groups = parts.groups();
    ZeroPoints zeros = ZeroPoints.read(parts.qzeros(), rows, settings, config);
    PackedMatrix matrix =
        new PackedMatrix(
            zeros.fixed() ? Scheme.SYMMETRIC : Scheme.ASYMMETRIC,
            settings.bits(),
            rows,
            columns,
            groups,
            parts.qweight().data(),
            floats(parts.scales()),
            zeros.fixed() ? Optional.empty() : Optional.of(zeros.values()),
            groupOf(columns, groups));
    return new StoredLinear(matrix, ImmutableList.copyOf(zeros.warning().stream().toList()));
  }

  /** Input features: as many as g_idx has, or as the words hold. */
  private int columns(StoredTensor qweight) {
    Optional<StoredTensor> indices = checkpoint.find(prefix + ".g_idx");
    if (indices.isEmpty()) {
      return vectorLength(qweight, qweight.rows() * 32L / settings.bits());
    }
    if (indices.get().shape().size() != 1) {
      throw wrong(indices.get(), "a vector");
    }
    return vectorLength(indices.get(), indices.get().elements());
  }

  private int vectorLength(StoredTensor tensor, long length) {
    if (length > MOST_COLUMNS) {
      throw wrong(tensor, "smaller");
    }
    return (int) length;
  }

  /** Groups of the columns, or empty where column i belongs to group i / groupSize. */
  private Optional<int[]> groupOf(int columns, int groups) {
    int size = settings.groupSize() == -1 ? columns : settings.groupSize();
    int[] regular = new int[columns];
    Arrays.setAll(regular, i -> i / size);
    int[] stored = checkpoint.find(prefix + ".g_idx").map(t -> indices(t, groups)).orElse(regular);
    boolean trivial = Arrays.stream(stored).allMatch(g -> g == 0);
    int[] groupOf = trivial ? regular : stored;
    boolean implied = columns % groups == 0 && size == columns / groups;
    return implied && Arrays.equals(groupOf, regular) ? Optional.empty() : Optional.of(groupOf);
  }

  private int[] indices(StoredTensor tensor, int groups) {
    if (tensor.type() != StoredType.I32 && tensor.type() != StoredType.I64) {
      throw wrong(tensor, "integers");
    }
    int[] indices = new int[Math.toIntExact(tensor.elements())];
    for (int i = 0; i < indices.length; i++) {
      long group =
          tensor.type() == StoredType.I32
              ? tensor.data().getAtIndex(Elements.INT, i)
              : tensor.data().getAtIndex(Elements.LONG, i);
      if (group < 0 || group >= groups) {
        throw new BadInputException(
            "%s: tensor '%s' puts column %d into group %d but there are %d; is group_size of the"
                    .formatted(tensor.file(), tensor.name(), i, group, groups)
                + " configuration right?");
      }
      indices[i] = (int) group;
    }
    return indices;
  }

  private MemorySegment floats(StoredTensor scales) {
    int groups = scales.rows();
    int outputs = scales.columns();
    float[] floats = new float[Math.multiplyExact(groups, outputs)];
    for (int g = 0; g < groups; g++) {
      copyRow(scales, floats, g * outputs, outputs);
    }
    return Elements.toSegment(floats);
  }

  private static void copyRow(StoredTensor scales, float[] floats, int from, int count) {
    for (int i = from; i < from + count; i++) {
      floats[i] = Elements.get(scales, i);
      if (!Float.isFinite(floats[i])) {
        throw new BadInputException(
            "%s: tensor '%s' holds the scale %s; quantize the model again"
                .formatted(scales.file(), scales.name(), floats[i]));
      }
    }
  }

  private void require(StoredTensor tensor, StoredType type) {
    if (tensor.type() != type) {
      throw wrong(tensor, type.toString());
    }
    if (tensor.shape().size() != 2) {
      throw wrong(tensor, "a matrix");
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
