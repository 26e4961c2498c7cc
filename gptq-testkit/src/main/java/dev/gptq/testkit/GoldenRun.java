package dev.gptq.testkit;

import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Compares the codes of one run of GPTQ with its record in float64, row by row. */
final class GoldenRun {
  /**
   * Largest distance from the middle of two codes at which float32 may choose the other one, in
   * units of a code. Weights have gone through up to 1023 updates; 5e-6 was the most seen.
   */
  private static final double TIE = 5e-5;

  private final Matrix recorded;
  private final Matrix scales;
  private final Matrix zeros;
  private final Matrix codes;
  private final Matrix w;
  private final HessianFactor factor;
  private final float[] lower;
  private final GoldenSet set;
  private final int rows;
  private final List<String> unexplained = new ArrayList<>();
  private int different;
  private int differentRows;
  private int tiedRows;
  private double farthest;

  GoldenRun(
      GoldenData data, GoldenSet set, Matrix w, HessianFactor factor, QuantizedMatrix quantized) {
    String prefix = "gptq/" + set.name() + "/f64/";
    this.recorded = data.tensor(prefix + "codes");
    this.scales = data.tensor(prefix + "scale");
    this.zeros = data.tensor(prefix + "zero");
    this.codes =
        Matrix.filled(DType.U8, Layout.COLUMN_MAJOR, w.rows(), w.columns(), 0)
            .decode(HostCopies.bytes(quantized.codes()));
    this.w = w;
    this.factor = factor;
    // V has contiguous columns: what is copied is its transposed, row by row.
    this.lower = HostCopies.floats(factor.v());
    this.set = set;
    this.rows = Math.min(w.rows(), recorded.rows());
    for (int r = 0; r < rows; r++) {
      compareRow(r);
    }
  }

  /**
   * Share of equal codes in the rows whose first difference is not the tie of the symmetric grid.
   */
  double equalShare() {
    return 1 - different / ((double) (rows - tiedRows) * w.columns());
  }

  List<String> unexplained() {
    return unexplained;
  }

  String summary() {
    return String.format(
        Locale.ROOT,
        "%d of %d rows differ after the tie at the end of the grid, %d after others, up to %.1e from"
            + " the middle; %.4f %% of the codes of all but the former are equal",
        tiedRows,
        rows,
        differentRows,
        farthest,
        100 * equalShare());
  }

  private void compareRow(int r) {
    int first = -1;
    int count = 0;
    for (int p = 0; p < w.columns(); p++) {
      int c = factor.order().get(p);
      if (codes.at(r, c) != recorded.at(r, c)) {
        count++;
        first = first < 0 ? p : first;
      }
    }
    if (first >= 0) {
      explain(r, first, count);
    }
  }

  /** What the recorded codes before the first difference make of the weight there. */
  private void explain(int r, int first, int count) {
    int n = w.columns();
    double known = 0;
    for (int p = 0; p < first; p++) {
      int c = factor.order().get(p);
      int g = group(p);
      double q = scales.at(r, g) * (recorded.at(r, c) - zeros.at(r, g));
      known += (weight(r, c) - q) * lower[first * n + p];
    }
    int c = factor.order().get(first);
    int g = group(first);
    double current = weight(r, c) + known / lower[first * n + first];
    double t = current / scales.at(r, g) + zeros.at(r, g);
    double middle = (codes.at(r, c) + recorded.at(r, c)) / 2;
    double distance = Math.abs(t - middle);
    if (set.spec().scheme() == Scheme.SYMMETRIC && middle == 0.5 && distance <= TIE) {
      tiedRows++;
      return;
    }
    different += count;
    differentRows++;
    farthest = Math.max(farthest, distance);
    if (!(distance <= TIE)) {
      unexplained.add(
          String.format(
              Locale.ROOT,
              "%s: row %d, column %d has code %.0f, recorded %.0f, but lies at %.6f",
              set.name(),
              r,
              c,
              codes.at(r, c),
              recorded.at(r, c),
              t));
    }
  }

  private double weight(int r, int c) {
    return factor.dead().contains(c) ? 0 : w.at(r, c);
  }

  /** Group of the column at position p of the order of quantization. */
  private int group(int p) {
    GptqOptions options = set.options();
    int size = options.groupColumns(w.columns());
    boolean stored = options.staticGroups() || options.order() == ColumnOrder.NATURAL;
    return (stored ? factor.order().get(p) : p) / size;
  }
}
