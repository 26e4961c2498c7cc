package dev.gptq.quantize;

import dev.gptq.grid.SuperBlock;
import java.util.stream.IntStream;

/**
 * Chooses the scales of {@link SuperBlock}s before any code is chosen. Each group gets the real
 * scale and offset with the least {@code Σ cost_j·(q(w_j) − w_j)²} that shrunken ranges and two
 * steps of least squares find; the block's float16 numbers follow from the largest of them, and
 * each group then takes the integers with the least error near the quotients.
 */
final class BlockFit {
  /** Ranges that are tried for a group of few bits, and for one of many, which clip little. */
  private static final int STEPS = 24;

  private static final int FEWER_STEPS = 8;

  /** Steps of least squares from each of them. */
  private static final int REFITS = 2;

  /** The least positive float16. */
  private static final float SMALLEST = 0x1p-24f;

  private final SuperBlock type;
  private final int most;

  private BlockFit(SuperBlock type) {
    this.type = type;
    this.most = (1 << type.bits()) - 1;
  }

  /**
   * The scales of a matrix.
   *
   * @param w weights, column by column in the stored order
   * @param cost of a squared error of each column, in the stored order
   */
  static BlockScales of(SuperBlock type, float[] w, int rows, float[] cost) {
    int columns = cost.length;
    BlockScales scales = new BlockScales(type, rows, columns);
    IntStream.range(0, rows)
        .parallel()
        .forEach(r -> {
          BlockFit fit = new BlockFit(type);
          float[] x = new float[SuperBlock.COLUMNS];
          float[] costs = new float[SuperBlock.COLUMNS];
          for (int from = 0; from < columns; from += SuperBlock.COLUMNS) {
            for (int j = 0; j < SuperBlock.COLUMNS; j++) {
              x[j] = w[(from + j) * rows + r];
              costs[j] = cost[from + j];
            }
            fit.fit(x, costs, scales, r, from / type.groupSize());
          }
        });
    return scales;
  }

  private void fit(float[] x, float[] cost, BlockScales scales, int row, int first) {
    int groups = type.groups();
    Group[] fits = new Group[groups];
    for (int g = 0; g < groups; g++) {
      fits[g] = new Group(x, cost, g * type.groupSize());
      fits[g].search();
    }
    int block = scales.block(row, first);
    scales.d[block] = unit(fits);
    scales.e[block] = offsetUnit(fits);
    for (int g = 0; g < groups; g++) {
      int index = scales.group(row, first + g);
      fits[g].choose(scales.d[block], scales.e[block]);
      scales.c[index] = fits[g].c;
      scales.o[index] = fits[g].o;
    }
  }

  /** d: the largest scale is the largest product; a signed one the most negative. */
  private float unit(Group[] fits) {
    float largest = 0;
    for (Group fit : fits) {
      if (Math.abs(fit.s) > Math.abs(largest)) {
        largest = (float) fit.s;
      }
    }
    int reach = type.hasOffsets() ? type.mostScale() : type.leastScale();
    float d = half(largest / reach);
    return d == 0 ? SMALLEST : d;
  }

  private float offsetUnit(Group[] fits) {
    double largest = 0;
    for (Group fit : fits) {
      largest = Math.max(largest, fit.m);
    }
    return type.hasOffsets() ? half((float) (largest / type.mostScale())) : 0;
  }

  static float half(float value) {
    return Float.float16ToFloat(Float.floatToFloat16(Math.clamp(value, -65504f, 65504f)));
  }

  /** One group of the block: {@code q = s·u − m} with offsets, else {@code s·(u − middle)}. */
  private final class Group {
    private final float[] x;
    private final float[] cost;
    private final int from;
    private final int to;
    private final int zero;

    /** The best real scale and offset so far, and their error. */
    private double s;

    private double m;
    private double error = Double.POSITIVE_INFINITY;

    /** The integers that were chosen. */
    private int c;

    private int o;

    Group(float[] x, float[] cost, int from) {
      this.x = x;
      this.cost = cost;
      this.from = from;
      this.to = from + type.groupSize();
      this.zero = type.hasOffsets() ? 0 : 1 << (type.bits() - 1);
    }

    void search() {
      double lo = 0;
      double hi = type.hasOffsets() ? Double.NEGATIVE_INFINITY : 0;
      for (int j = from; j < to; j++) {
        lo = Math.min(lo, x[j]);
        hi = Math.max(hi, x[j]);
      }
      double narrowest =
          switch (type.bits()) {
            case 2 -> 0.3;
            case 3, 4 -> 0.5;
            default -> 0.85;
          };
      double widest = type.bits() < 5 ? 1.1 : 1.05;
      int steps = type.bits() < 5 ? STEPS : FEWER_STEPS;
      for (int i = 0; i < steps; i++) {
        double p = widest - (widest - narrowest) * i / (steps - 1);
        if (type.hasOffsets()) {
          tryFrom(p * (hi - lo) / most, -lo * p);
          tryFrom(p * (hi - lo) / most, -lo);
        } else {
          double scale = p * Math.max(hi, -lo) / zero;
          tryFrom(scale, 0);
          tryFrom(-scale, 0);
        }
      }
      if (error == Double.POSITIVE_INFINITY) {
        s = 0;
        m = 0;
      }
    }

    /** Follows least squares from a scale and an offset. */
    private void tryFrom(double scale, double offset) {
      double step = scale;
      double shift = offset;
      for (int i = 0; i <= REFITS && step != 0 && Double.isFinite(1 / step); i++) {
        double cost2 = 0;
        double a = 0;
        double b = 0;
        double uu = 0;
        double ux = 0;
        double xs = 0;
        for (int j = from; j < to; j++) {
          double u = code(x[j], step, shift) - zero;
          double wrong = step * u - shift - x[j];
          cost2 += cost[j] * wrong * wrong;
          a += cost[j];
          b += cost[j] * u;
          uu += cost[j] * u * u;
          ux += cost[j] * u * x[j];
          xs += cost[j] * x[j];
        }
        if (cost2 < error) {
          error = cost2;
          s = step;
          m = shift;
        }
        double det = a * uu - b * b;
        if (type.hasOffsets() && det > 0) {
          step = (a * ux - b * xs) / det;
          shift = (b * ux - uu * xs) / det;
        }
        if (!type.hasOffsets() || det <= 0 || shift < 0) {
          step = uu > 0 ? ux / uu : 0;
          shift = 0;
        }
        if (type.hasOffsets() && step < 0) {
          return;
        }
      }
    }

    private int code(double value, double step, double shift) {
      return (int) Math.clamp(Math.rint((value + shift) / step) + zero, 0, most);
    }

    /** The integers near the quotients with the least error. */
    void choose(float d, float e) {
      int nearC = (int) Math.rint(s / d);
      int nearO = e == 0 ? 0 : (int) Math.rint(m / e);
      double least = Double.POSITIVE_INFINITY;
      int reach = type.hasOffsets() ? 1 : 0;
      for (int i = -1; i <= 1; i++) {
        int tryC = Math.clamp(nearC + i, type.leastScale(), type.mostScale());
        for (int k = -reach; k <= reach && tryC != 0; k++) {
          int tryO = Math.clamp(nearO + k, 0, type.mostScale());
          double wrong = error((double) d * tryC, (double) e * tryO);
          if (wrong < least) {
            least = wrong;
            c = tryC;
            o = e == 0 ? 0 : tryO;
          }
        }
      }
    }

    private double error(double step, double shift) {
      double sum = 0;
      for (int j = from; j < to; j++) {
        double wrong = step * (code(x[j], step, shift) - zero) - shift - x[j];
        sum += cost[j] * wrong * wrong;
      }
      return sum;
    }
  }
}
