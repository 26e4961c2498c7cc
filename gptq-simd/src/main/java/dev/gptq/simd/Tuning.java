package dev.gptq.simd;

import static dev.gptq.backend.TuningOps.LEAST_FACTOR;
import static dev.gptq.backend.TuningOps.MOST_BEGINNING;
import static dev.gptq.backend.TuningOps.MOST_FACTOR;
import static dev.gptq.backend.TuningOps.MOST_OFFSET;

import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The operations of {@link dev.gptq.backend.TuningOps} on codes and offsets, one row a lane. Runs
 * of {@link #ROWS} rows go column by column; rows that fill no vector go one by one.
 */
final class Tuning {
  /** Rows of a task: a few cache lines of each column. */
  private static final int ROWS = 64;

  private final Execution execution;
  private final Matrix codes;
  private final GridView grid;
  private final Matrix offsets;

  Tuning(Execution execution, Matrix codes, GridView grid, Matrix offsets) {
    this.execution = execution;
    this.codes = codes;
    this.grid = grid;
    this.offsets = offsets;
  }

  /** {@code v = clamp(((w/s + z) − u)/2, −0.49, 0.49)}. */
  void begin(Matrix w) {
    execution.forRanges(
        codes.rows(),
        ROWS,
        (from, to) -> {
          for (int j = 0; j < codes.columns(); j++) {
            int group = grid.group(j);
            int r = from;
            for (; r <= to - Lanes.COUNT; r += Lanes.COUNT) {
              FloatVector place =
                  at(w, r, j).div(at(grid.scale(), r, group)).add(at(grid.zero(), r, group));
              FloatVector half = place.sub(codes(r, j)).mul(0.5f);
              put(clamp(half, -MOST_BEGINNING, MOST_BEGINNING), r, j);
            }
            for (; r < to; r++) {
              float place = get(w, r, j) / get(grid.scale(), r, group) + get(grid.zero(), r, group);
              float half = (place - code(r, j)) * 0.5f;
              set(Math.clamp(half, -MOST_BEGINNING, MOST_BEGINNING), offsets, r, j);
            }
          }
        });
  }

  /** {@code k = clamp(rint(u + v))}. */
  void round(Matrix to) {
    execution.forRanges(
        codes.rows(),
        ROWS,
        (first, end) -> {
          for (int j = 0; j < codes.columns(); j++) {
            int r = first;
            for (; r <= end - Lanes.COUNT; r += Lanes.COUNT) {
              FloatVector k = rounded(codes(r, j).add(at(offsets, r, j)));
              Codes.store(Rounding.toInt(k), to.segment(), to.index(r, j));
            }
            for (; r < end; r++) {
              byte k = (byte) rounded(code(r, j) + get(offsets, r, j));
              to.segment().set(ValueLayout.JAVA_BYTE, to.index(r, j), k);
            }
          }
        });
  }

  /** {@code s' = R(f·s)}. */
  static void scales(Matrix scale, Matrix factors, GridSpec spec, Matrix to) {
    for (int g = 0; g < scale.columns(); g++) {
      for (int r = 0; r < scale.rows(); r++) {
        set(spec.roundScale(get(factors, r, g) * get(scale, r, g)), to, r, g);
      }
    }
  }

  /** One step of offsets and factors. */
  void descend(Matrix gradient, float step, float scaleStep, Matrix factors, int groups) {
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), 4L * ROWS * groups);
    execution
        .pool()
        .forEach(
            (codes.rows() + ROWS - 1) / ROWS,
            (i, worker) -> {
              int from = i * ROWS;
              int to = Math.min(codes.rows(), from + ROWS);
              MemorySegment slopes = scratch[worker];
              slopes.asSlice(0, 4L * ROWS * groups).fill((byte) 0);
              for (int j = 0; j < codes.columns(); j++) {
                descend(gradient, j, step, from, to, slopes);
              }
              for (int g = 0; g < groups; g++) {
                for (int r = from; r < to; r++) {
                  float slope = slopes.get(Lanes.FLOAT, 4L * ((long) g * ROWS + r - from));
                  float sign = Math.signum(slope) * Math.signum(get(grid.scale(), r, g));
                  float moved = get(factors, r, g) - scaleStep * sign;
                  set(Math.clamp(moved, LEAST_FACTOR, MOST_FACTOR), factors, r, g);
                }
              }
            });
  }

  /** One column of some rows; {@code slopes} adds up D·(k − z) of each row and group. */
  private void descend(Matrix gradient, int j, float step, int from, int to, MemorySegment slopes) {
    int group = grid.group(j);
    long sums = 4L * group * ROWS;
    int r = from;
    for (; r <= to - Lanes.COUNT; r += Lanes.COUNT) {
      FloatVector d = at(gradient, r, j);
      FloatVector u = codes(r, j);
      FloatVector v = at(offsets, r, j);
      FloatVector level = rounded(u.add(v)).sub(at(grid.zero(), r, group));
      long sum = sums + 4L * (r - from);
      Lanes.store(d.fma(level, Lanes.load(slopes, sum)), slopes, sum);
      FloatVector moved = v.sub(sign(d).mul(sign(at(grid.scale(), r, group))).mul(step));
      FloatVector lowest = u.neg().add(grid.least() - 0.5f).max(-MOST_OFFSET);
      FloatVector highest = u.neg().add(grid.most() + 0.5f).min(MOST_OFFSET);
      put(moved.min(highest).max(lowest), r, j);
    }
    for (; r < to; r++) {
      float d = get(gradient, r, j);
      float u = code(r, j);
      float v = get(offsets, r, j);
      float level = rounded(u + v) - get(grid.zero(), r, group);
      long sum = sums + 4L * (r - from);
      slopes.set(Lanes.FLOAT, sum, Math.fma(d, level, slopes.get(Lanes.FLOAT, sum)));
      float moved = v - step * Math.signum(d) * Math.signum(get(grid.scale(), r, group));
      float lowest = Math.max(-MOST_OFFSET, grid.least() - 0.5f - u);
      float highest = Math.min(MOST_OFFSET, grid.most() + 0.5f - u);
      set(Math.max(lowest, Math.min(highest, moved)), offsets, r, j);
    }
  }

  private static FloatVector sign(FloatVector x) {
    return FloatVector.zero(Lanes.F)
        .blend(1f, x.compare(VectorOperators.GT, 0f))
        .blend(-1f, x.compare(VectorOperators.LT, 0f));
  }

  private static FloatVector clamp(FloatVector x, float least, float most) {
    return x.max(least).min(most);
  }

  private FloatVector rounded(FloatVector place) {
    return clamp(Rounding.rint(place), grid.least(), grid.most());
  }

  private float rounded(float place) {
    return Math.clamp((float) Math.rint(place), grid.least(), grid.most());
  }

  private FloatVector codes(int row, int column) {
    return Lanes.toFloat(Codes.load(codes.segment(), codes.index(row, column)));
  }

  private int code(int row, int column) {
    return Byte.toUnsignedInt(codes.segment().get(ValueLayout.JAVA_BYTE, codes.index(row, column)));
  }

  private void put(FloatVector v, int row, int column) {
    Lanes.store(v, offsets.segment(), offsets.at(row, column));
  }

  private static FloatVector at(Matrix m, int row, int column) {
    return Lanes.load(m.segment(), m.at(row, column));
  }

  private static float get(Matrix m, int row, int column) {
    return m.segment().get(Lanes.FLOAT, m.at(row, column));
  }

  private static void set(float value, Matrix m, int row, int column) {
    m.segment().set(Lanes.FLOAT, m.at(row, column), value);
  }
}
