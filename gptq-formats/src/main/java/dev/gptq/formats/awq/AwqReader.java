package dev.gptq.formats.awq;

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
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Reads the tensors of one module and checks them against the settings. */
final class AwqReader {
  private static final String CODES = ".qweight";
  private static final String ZEROS = ".qzeros";
  private static final String SCALES = ".scales";

  /** Outputs whose codes are moved at once: a line of the cache holds sixteen words. */
  private static final int TILE = 16;

  private final Checkpoint checkpoint;
  private final String prefix;
  private final ModuleSettings settings;
  private final Arena arena = Arena.ofAuto();

  AwqReader(Checkpoint checkpoint, String prefix, ModuleSettings settings) {
    this.checkpoint = checkpoint;
    this.prefix = prefix;
    this.settings = settings;
  }

  /** Whether a checkpoint holds the module in this form, if it is one of AWQ. */
  static boolean has(Checkpoint checkpoint, String module) {
    return checkpoint.find(module + CODES).isPresent();
  }

  /** The tensors of the module, whose types and shapes agree. */
  private record Parts(
      StoredTensor codes, StoredTensor zeros, StoredTensor scales, int rows, int columns) {
    int groups() {
      return scales.rows();
    }
  }

  /** Checks types and shapes against a layer; the data is not looked at. */
  void check(int outputs, int inputs) {
    Parts parts = parts();
    if (parts.rows() != outputs || parts.columns() != inputs) {
      throw new BadInputException(
          "%s: module %s is packed as %d x %d but config.json makes it %d x %d; is one of the two of"
                  .formatted(
                      parts.codes().file(), prefix, parts.rows(), parts.columns(), outputs, inputs)
              + " another model?");
    }
  }

  private Parts parts() {
    StoredTensor codes = checkpoint.require(prefix + CODES);
    int columns = codes.rows();
    int words = codes.columns();
    if (codes.type() != StoredType.I32 || words == 0 || columns == 0) {
      throw wrong(codes, "I32 [in, out/8]");
    }
    int rows = Math.multiplyExact(words, AwqWords.OUTPUTS);
    int groups = settings.groups(columns);
    if (columns % groups != 0) {
      throw wrong(codes, "a matrix of groups of " + settings.groupSize());
    }
    StoredTensor zeros = checkpoint.require(prefix + ZEROS);
    if (zeros.type() != StoredType.I32
        || !zeros.shape().equals(List.of((long) groups, (long) words))) {
      throw wrong(zeros, "I32 [%d, %d]".formatted(groups, words));
    }
    StoredTensor scales = checkpoint.require(prefix + SCALES);
    if (scales.type().toDType().filter(DType::isReal).isEmpty()
        || !scales.shape().equals(List.of((long) groups, (long) rows))) {
      throw wrong(scales, "real numbers [%d, %d]".formatted(groups, rows));
    }
    return new Parts(codes, zeros, scales, rows, columns);
  }

  StoredLinear read() {
    Parts parts = parts();
    MemorySegment zeros = zeros(parts);
    boolean fixed = true;
    for (long i = 0; i < (long) parts.groups() * parts.rows(); i++) {
      fixed &= zeros.getAtIndex(Elements.FLOAT, i) == Scheme.SYMMETRIC.fixedZero(AwqFormat.BITS);
    }
    return new StoredLinear(
        new PackedMatrix(
            fixed ? Scheme.SYMMETRIC : Scheme.ASYMMETRIC,
            AwqFormat.BITS,
            parts.rows(),
            parts.columns(),
            parts.groups(),
            codes(parts),
            scales(parts),
            fixed ? Optional.empty() : Optional.of(zeros),
            Optional.empty()),
        ImmutableList.of());
  }

  private MemorySegment codes(Parts parts) {
    int rows = parts.rows();
    int words = BitStream.words(parts.columns(), AwqFormat.BITS);
    MemorySegment from = parts.codes().data();
    MemorySegment to = arena.allocate(4L * words * rows, 8);
    IntStream.range(0, Math.ceilDiv(rows, TILE))
        .parallel()
        .forEach(tile -> {
          int end = Math.min(rows, (tile + 1) * TILE);
          for (int i = 0; i < parts.columns(); i++) {
            for (int o = tile * TILE; o < end; o++) {
              int code = AwqWords.get(from, (long) i * parts.codes().columns(), o);
              BitStream.put(to, rows, o, i, AwqFormat.BITS, code);
            }
          }
        });
    return to;
  }

  private MemorySegment zeros(Parts parts) {
    MemorySegment zeros = arena.allocate(4L * parts.groups() * parts.rows(), 8);
    MemorySegment from = parts.zeros().data();
    for (int g = 0; g < parts.groups(); g++) {
      for (int o = 0; o < parts.rows(); o++) {
        int zero = AwqWords.get(from, (long) g * parts.zeros().columns(), o);
        zeros.setAtIndex(Elements.FLOAT, (long) g * parts.rows() + o, zero);
      }
    }
    return zeros;
  }

  private MemorySegment scales(Parts parts) {
    long count = (long) parts.groups() * parts.rows();
    MemorySegment scales = arena.allocate(4L * count, 8);
    for (long i = 0; i < count; i++) {
      float value = Elements.get(parts.scales(), i);
      if (!Float.isFinite(value)) {
        throw new BadInputException(
            "%s: tensor '%s' holds the scale %s; quantize the model again"
                .formatted(parts.scales().file(), parts.scales().name(), value));
      }
      scales.setAtIndex(Elements.FLOAT, i, value);
    }
    return scales;
  }

  private BadInputException wrong(StoredTensor tensor, String expected) {
    return new BadInputException(
        "%s: tensor %s should be %s; does the quantization configuration belong to this file?"
            .formatted(tensor.file(), tensor.describe(), expected));
  }
}
