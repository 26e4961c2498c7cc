package dev.gptq.formats.packed;

import dev.gptq.pack.PackedMatrix;
import java.util.stream.IntStream;

/**
 * How one module is quantized: what its matrix shows, what all formats say of it each in its own
 * words, and what a run sets out to do. {@link Precision} is a part of it, {@link ModuleOverride} a
 * rule that changes it for some modules.
 *
 * @param bits bits of a code
 * @param groupSize input features that share a scale; −1 for a whole row
 * @param sym whether the zero point is fixed
 * @param descAct whether columns were processed in order of activation
 */
public record ModuleSettings(int bits, int groupSize, boolean sym, boolean descAct) {

  /** What its size depends on. */
  public Precision precision() {
    return new Precision(bits, groupSize);
  }

  /** The settings that a matrix shows: {@code descAct} where its groups are scattered. */
  public static ModuleSettings of(PackedMatrix matrix) {
    boolean sym = !matrix.scheme().hasZeroPoint();
    if (matrix.groups() == 1) {
      return new ModuleSettings(matrix.bits(), -1, sym, false);
    }
    if (matrix.groupOf().isEmpty()) {
      return new ModuleSettings(matrix.bits(), matrix.groupSize(), sym, false);
    }
    int size = (int) IntStream.range(0, matrix.columns()).filter(i -> matrix.group(i) == 0).count();
    boolean contiguous =
        size > 0 && IntStream.range(0, matrix.columns()).allMatch(i -> matrix.group(i) == i / size);
    return new ModuleSettings(
        matrix.bits(),
        contiguous ? size : Math.ceilDiv(matrix.columns(), matrix.groups()),
        sym,
        !contiguous);
  }

  /** The settings in a few words. */
  public String describe() {
    return bits
        + " bits, group size "
        + groupSize
        + (sym ? ", symmetric" : ", asymmetric")
        + (descAct ? ", desc_act" : "");
  }

  /** Groups of a row of {@code columns} weights; the last one may be shorter. */
  public int groups(int columns) {
    return precision().groups(columns);
  }
}
