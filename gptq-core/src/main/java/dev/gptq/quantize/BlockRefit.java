package dev.gptq.quantize;

import dev.gptq.grid.SuperBlock;
import java.util.stream.IntStream;

/**
 * Moves the numbers of {@link BlockScales} so that each row's {@code (W − Q)·H·(W − Q)ᵀ} falls,
 * with all codes held: c and o of a group by integers, d and e of a block to other float16 numbers.
 * One after the other, each to the best place along its direction, as the sweeps do with codes.
 */
final class BlockRefit {
  /** How often all numbers are looked at. */
  private static final int ROUNDS = 3;

  private final BlockScales scales;
  private final float[] h;
  private final int columns;

  /** Positions of the columns of each group in the order of quantization. */
  private final int[][] members;

  /**
   * For the matrices of one factor.
   *
   * @param h H + λI, row by row, in the order of quantization
   * @param groupOf group of each column in that order
   */
  BlockRefit(BlockScales scales, float[] h, int[] groupOf) {
    this.scales = scales;
    this.h = h;
    this.columns = groupOf.length;
    this.members = new int[scales.groups()][];
    for (int g = 0; g < members.length; g++) {
      int group = g;
      members[g] = IntStream.range(0, columns).filter(p -> groupOf[p] == group).toArray();
    }
  }

  /**
   * Moves the scales.
   *
   * @param gradient {@code (W − Q)·H}, column by column; changed
   * @param codes column by column
   */
  void run(float[] gradient, byte[] codes, int rows) {
    IntStream.range(0, rows).parallel().forEach(r -> new Row(gradient, codes, rows, r).run());
  }

  /** What is done to a row. */
  private final class Row {
    private final int row;
    private final double[] gradient;
    private final double[] steps;

    Row(float[] gradients, byte[] codes, int rows, int row) {
      this.row = row;
      this.gradient = new double[columns];
      this.steps = new double[columns];
      SuperBlock type = scales.type();
      int zero = type.hasOffsets() ? 0 : 1 << (type.bits() - 1);
      for (int p = 0; p < columns; p++) {
        gradient[p] = gradients[p * rows + row];
        steps[p] = (codes[p * rows + row] & 0xff) - zero;
      }
    }

    void run() {
      int groups = scales.type().groups();
      for (int round = 0; round < ROUNDS; round++) {
        for (int first = 0; first < members.length; first += groups) {
          moveUnits(first, groups);
          for (int g = first; g < first + groups; g++) {
            move(g);
          }
        }
      }
    }

    /** Moves c and o of a group together. */
    private void move(int g) {
      int[] own = members[g];
      float d = scales.d[scales.block(row, g)];
      float e = scales.e[scales.block(row, g)];
      double[] t = new double[own.length];
      double aSs = 0;
      double aSm = 0;
      double aMm = 0;
      double bS = 0;
      double bM = 0;
      for (int i = 0; i < own.length; i++) {
        int p = own[i];
        t[i] = d * steps[p];
        bS += gradient[p] * t[i];
        bM -= gradient[p] * e;
      }
      for (int i = 0; i < own.length; i++) {
        double ht = 0;
        double ho = 0;
        for (int k = 0; k < own.length; k++) {
          double entry = h[own[i] * columns + own[k]];
          ht += entry * t[k];
          ho -= entry * e;
        }
        aSs += t[i] * ht;
        aSm += t[i] * ho;
        aMm -= e * ho;
      }
      int index = scales.group(row, g);
      SuperBlock type = scales.type();
      boolean offsets = e != 0;
      double det = aSs * aMm - aSm * aSm;
      double bestS = aSs > 0 ? bS / aSs : 0;
      double bestM = 0;
      if (offsets && det > 1e-9 * aSs * aMm) {
        bestS = (bS * aMm - bM * aSm) / det;
        bestM = (bM * aSs - bS * aSm) / det;
      }
      int nearC = (int) Math.clamp(Math.rint(bestS), -64, 64);
      int nearO = (int) Math.clamp(Math.rint(bestM), -64, 64);
      double least = 0;
      int byC = 0;
      int byO = 0;
      for (int i = -2; i <= 2; i++) {
        int c = Math.clamp(scales.c[index] + nearC + i, type.leastScale(), type.mostScale());
        for (int k = offsets ? -2 : 0; c != 0 && k <= (offsets ? 2 : 0); k++) {
          int o = Math.clamp(scales.o[index] + nearO + k, 0, type.mostScale());
          int x = c - scales.c[index];
          int y = offsets ? o - scales.o[index] : 0;
          double change = x * x * aSs + 2.0 * x * y * aSm + y * y * aMm - 2 * (x * bS + y * bM);
          if (change < least) {
            least = change;
            byC = x;
            byO = y;
          }
        }
      }
      if (byC != 0 || byO != 0) {
        scales.c[index] += byC;
        scales.o[index] += byO;
        for (int i = 0; i < own.length; i++) {
          change(own[i], byC * t[i] - byO * e);
        }
      }
    }

    /** Moves d and e of a block. */
    private void moveUnits(int first, int groups) {
      int block = scales.block(row, first);
      double[] byD = new double[columns];
      double[] byE = new double[columns];
      for (int g = first; g < first + groups; g++) {
        int index = scales.group(row, g);
        for (int p : members[g]) {
          byD[p] = scales.c[index] * steps[p];
          byE[p] = -scales.o[index];
        }
      }
      scales.d[block] += move(byD, scales.d[block], first, groups);
      if (scales.type().hasOffsets()) {
        scales.e[block] += move(byE, scales.e[block], first, groups);
      }
    }

    /** By how much a float16 number changes that moves Q along a direction. */
    private float move(double[] direction, float now, int first, int groups) {
      double a = 0;
      double b = 0;
      for (int g = first; g < first + groups; g++) {
        for (int p : members[g]) {
          double ht = 0;
          for (int k = first; k < first + groups; k++) {
            for (int q : members[k]) {
              ht += h[p * columns + q] * direction[q];
            }
          }
          a += direction[p] * ht;
          b += gradient[p] * direction[p];
        }
      }
      if (a <= 0) {
        return 0;
      }
      float then = BlockFit.half((float) (now + b / a));
      float by = then - now;
      boolean keepsSign = then * now > 0;
      if (!keepsSign || by == 0 || by * (double) by * a - 2 * by * b >= 0) {
        return 0;
      }
      for (int g = first; g < first + groups; g++) {
        for (int p : members[g]) {
          change(p, by * direction[p]);
        }
      }
      return by;
    }

    /** Q of a column grows by so much. */
    private void change(int p, double by) {
      if (by == 0) {
        return;
      }
      int at = p * columns;
      for (int i = 0; i < columns; i++) {
        gradient[i] -= by * h[at + i];
      }
    }
  }
}
