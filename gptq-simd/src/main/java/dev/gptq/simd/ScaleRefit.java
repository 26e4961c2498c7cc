package dev.gptq.simd;

import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Least-squares scales for codes that stay, see {@link
 * dev.gptq.backend.QuantizationOps#refitScales}: a small system in float64 for each row, one row a
 * lane.
 */
final class ScaleRefit {
  private static final double RIDGE = 1e-6;
  private static final int ROWS = Lanes.COUNT / 2;
  private static final long L = Lanes.BYTES;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

  private final Matrix normal;
  private final Matrix gradient;
  private final GridSpec spec;
  private final Matrix scale;
  private final Matrix change;
  private final int groups;
  private final long right;

  private ScaleRefit(Matrix normal, Matrix gradient, GridSpec spec, Matrix scale, Matrix change) {
    this.normal = normal;
    this.gradient = gradient;
    this.spec = spec;
    this.scale = scale;
    this.change = change;
    this.groups = scale.columns();
    this.right = L * normal.columns();
  }

  static void run(
      Execution execution,
      Matrix normal,
      Matrix gradient,
      GridSpec spec,
      Matrix scale,
      Matrix change) {
    ScaleRefit refit = new ScaleRefit(normal, gradient, spec, scale, change);
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), refit.right + L * refit.groups);
    execution
        .pool()
        .forEach(
            (scale.rows() + ROWS - 1) / ROWS, (i, worker) -> refit.rows(i * ROWS, scratch[worker]));
  }

  private void rows(int row, MemorySegment scratch) {
    int rows = Math.min(ROWS, scale.rows() - row);
    load(row, rows, scratch);
    factor(scratch);
    substitute(scratch);
    for (int r = 0; r < rows; r++) {
      replace(row + r, r, scratch);
    }
  }

  /** Position of an entry of the lower triangle. */
  private static long at(int row, int column) {
    return L * ((long) row * (row + 1) / 2 + column);
  }

  /** Both sides of the systems, damped; rows that are missing get all zeros. */
  private void load(int row, int rows, MemorySegment scratch) {
    scratch.asSlice(0, right + L * groups).fill((byte) 0);
    for (int e = 0; e < normal.columns(); e++) {
      copy(normal, row, rows, e, scratch, L * e);
    }
    for (int g = 0; g < groups; g++) {
      copy(gradient, row, rows, g, scratch, right + L * g);
    }
    DoubleVector trace = DoubleVector.zero(Lanes.D);
    for (int g = 0; g < groups; g++) {
      trace = trace.add(load(scratch, at(g, g)));
    }
    DoubleVector ridge = trace.mul(RIDGE / groups);
    for (int g = 0; g < groups; g++) {
      store(load(scratch, at(g, g)).add(ridge), scratch, at(g, g));
    }
  }

  private static void copy(Matrix m, int row, int rows, int column, MemorySegment to, long at) {
    for (int r = 0; r < rows; r++) {
      to.set(DOUBLE, at + 8L * r, m.segment().get(Lanes.FLOAT, m.at(row + r, column)));
    }
  }

  /** {@code A = L·Lᵀ}, column by column. A pivot that is not positive turns its lane into NaN. */
  private void factor(MemorySegment scratch) {
    for (int j = 0; j < groups; j++) {
      DoubleVector square = load(scratch, at(j, j));
      VectorMask<Double> bad = square.compare(VectorOperators.GT, 0).not();
      DoubleVector pivot = square.blend(Double.NaN, bad).sqrt();
      store(pivot, scratch, at(j, j));
      for (int i = j + 1; i < groups; i++) {
        store(load(scratch, at(i, j)).div(pivot), scratch, at(i, j));
      }
      for (int i = j + 1; i < groups; i++) {
        DoubleVector less = load(scratch, at(i, j)).neg();
        for (int k = j + 1; k <= i; k++) {
          DoubleVector old = load(scratch, at(i, k));
          store(less.fma(load(scratch, at(k, j)), old), scratch, at(i, k));
        }
      }
    }
  }

  private void substitute(MemorySegment scratch) {
    for (int i = 0; i < groups; i++) {
      DoubleVector sum = load(scratch, right + L * i);
      for (int k = 0; k < i; k++) {
        sum = load(scratch, at(i, k)).neg().fma(load(scratch, right + L * k), sum);
      }
      store(sum.div(load(scratch, at(i, i))), scratch, right + L * i);
    }
    for (int i = groups - 1; i >= 0; i--) {
      DoubleVector sum = load(scratch, right + L * i);
      for (int k = i + 1; k < groups; k++) {
        sum = load(scratch, at(k, i)).neg().fma(load(scratch, right + L * k), sum);
      }
      store(sum.div(load(scratch, at(i, i))), scratch, right + L * i);
    }
  }

  /** Replaces a row's scales if the rounded ones lower its loss; NaN does not. */
  private void replace(int row, int lane, MemorySegment scratch) {
    float[] refitted = new float[groups];
    double[] moved = new double[groups];
    for (int g = 0; g < groups; g++) {
      float old = scale.segment().get(Lanes.FLOAT, scale.at(row, g));
      double step = scratch.get(DOUBLE, right + L * g + 8L * lane);
      float magnitude = (float) ((old + step) * Math.signum(old));
      refitted[g] = Math.copySign(spec.roundScale(Math.max(magnitude, 0)), old);
      moved[g] = Double.isNaN(step) ? Double.NaN : (double) refitted[g] - old;
    }
    double loss = 0;
    for (int g = 0, e = 0; g < groups; g++) {
      loss -= 2 * moved[g] * gradient.segment().get(Lanes.FLOAT, gradient.at(row, g));
      for (int h = 0; h <= g; h++, e++) {
        double a = normal.segment().get(Lanes.FLOAT, normal.at(row, e));
        loss += (h == g ? 1 : 2) * moved[g] * moved[h] * a;
      }
    }
    change.segment().set(Lanes.FLOAT, change.at(row, 0), loss < 0 ? (float) loss : 0);
    if (loss < 0) {
      for (int g = 0; g < groups; g++) {
        scale.segment().set(Lanes.FLOAT, scale.at(row, g), refitted[g]);
      }
    }
  }

  private static DoubleVector load(MemorySegment segment, long offset) {
    return DoubleVector.fromMemorySegment(Lanes.D, segment, offset, Lanes.ORDER);
  }

  private static void store(DoubleVector v, MemorySegment segment, long offset) {
    v.intoMemorySegment(segment, offset, Lanes.ORDER);
  }
}
