package dev.gptq.reference;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.ErrorNorm;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/** The exact operations, written as their contracts are. */
final class ReferenceQuantizationOps implements QuantizationOps {
  private static final int CANDIDATES = 80;

  /** One row's grid. */
  private record Fit(float scale, float zero) {
    float error(float w, GridSpec spec) {
      return scale * (code(w, scale, zero, spec) - zero) - w;
    }
  }

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    fitRows(w, scale, zero, row -> fitRow(row, spec));
  }

  @Override
  public void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero) {
    fitRows(w, scale, zero, row -> Range.of(row, spec).shrunk(shrink).fit(spec, zeroShift));
  }

  @Override
  public void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero) {
    float[] weights = RowArrays.load(weight);
    fitRows(
        w,
        scale,
        zero,
        row -> {
          Range range = Range.of(row, spec);
          return best(
              ladder.rungs().stream()
                  .map(c -> range.shrunk(c.shrink()).fit(spec, c.zeroShift()))
                  .toList(),
              fit -> {
                float error = 0;
                for (int j = 0; j < row.length; j++) {
                  float d = fit.error(row[j], spec);
                  error = Math.fma(d * d, weights[j], error);
                }
                return error;
              });
        });
  }

  private static void fitRows(Tensor w, Tensor scale, Tensor zero, Function<float[], Fit> fitRow) {
    int n = w.columns();
    float[] wv = RowArrays.load(w);
    float[] scales = new float[w.rows()];
    float[] zeros = new float[w.rows()];
    for (int r = 0; r < w.rows(); r++) {
      Fit fit = fitRow.apply(Arrays.copyOfRange(wv, r * n, (r + 1) * n));
      scales[r] = fit.scale();
      zeros[r] = fit.zero();
    }
    RowArrays.store(scales, scale);
    RowArrays.store(zeros, zero);
  }

  private static Fit fitRow(float[] row, GridSpec spec) {
    Range range = Range.of(row, spec);
    if (spec.search() == GridSearch.MIN_MAX) {
      return range.fit(spec, 0);
    }
    return best(
        IntStream.range(0, CANDIDATES)
            .mapToObj(i -> range.shrunk((float) (1 - i / 100.0)).fit(spec, 0))
            .toList(),
        fit -> {
          float error = 0;
          for (float x : row) {
            error += ErrorNorm.of(fit.error(x, spec));
          }
          return error;
        });
  }

  /** What a candidate costs a row. */
  private interface RowError {
    float of(Fit fit);
  }

  /** The first candidate with the least error. */
  private static Fit best(List<Fit> candidates, RowError error) {
    Fit best = candidates.getFirst();
    float least = Float.POSITIVE_INFINITY;
    for (Fit fit : candidates) {
      float e = error.of(fit);
      if (e < least) {
        least = e;
        best = fit;
      }
    }
    return best;
  }

  /** What a grid has to cover. */
  private record Range(float lo, float hi) {
    static Range of(float[] row, GridSpec spec) {
      float lo = 0;
      float hi = 0;
      for (float x : row) {
        lo = Math.min(lo, x);
        hi = Math.max(hi, x);
      }
      if (!spec.scheme().hasZeroPoint()) {
        hi = Math.max(-lo, hi);
        lo = -hi;
      }
      return lo == 0 && hi == 0 ? new Range(-1, 1) : new Range(lo, hi);
    }

    Range shrunk(float p) {
      return new Range(p * lo, p * hi);
    }

    Fit fit(GridSpec spec, int zeroShift) {
      int levels = spec.scheme().levels(spec.bits());
      float step = (hi - lo) / levels;
      if (spec.leastZero() > 0) {
        step = Math.max(step, hi / (levels - spec.leastZero()));
      }
      float scale = spec.roundScale(step);
      float zero =
          spec.scheme().hasZeroPoint()
              ? Math.clamp(
                  (float) Math.rint(-lo / scale) + zeroShift, spec.leastZero(), spec.maxCode())
              : spec.scheme().fixedZero(spec.bits());
      return new Fit(scale, zero);
    }
  }

  static int code(float w, float scale, float zero, GridSpec spec) {
    float t = w / scale;
    float rounded = spec.scheme().isMidRise() ? (float) Math.floor(t) + 0.5f : (float) Math.rint(t);
    return (int) Math.clamp(rounded + zero, spec.scheme().minCode(), spec.maxCode());
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    int n = w.columns();
    float[] wv = RowArrays.load(w);
    float[] uv = RowArrays.load(u);
    float[] scales = RowArrays.load(grid.scale());
    float[] zeros = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    int[] cv = new int[wv.length];
    for (int r = 0; r < w.rows(); r++) {
      for (int j = 0; j < n; j++) {
        float scale = scales[r * grid.groups() + groupOf[j]];
        float zero = zeros[r * grid.groups() + groupOf[j]];
        float wj = wv[r * n + j];
        int code = code(wj, scale, zero, grid.spec());
        float e = (wj - scale * (code - zero)) / uv[j * n + j];
        for (int k = j + 1; k < n; k++) {
          wv[r * n + k] = Math.fma(-e, uv[j * n + k], wv[r * n + k]);
        }
        wv[r * n + j] = e;
        cv[r * n + j] = code;
      }
    }
    RowArrays.store(wv, w);
    RowArrays.storeBytes(cv, codes);
  }

  @Override
  public void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source) {
    int n = w.columns();
    int rows = cost.rows();
    int paths = cost.columns();
    float[] wv = RowArrays.load(w);
    float[] costs = RowArrays.load(cost);
    float[] uv = RowArrays.load(u);
    float[] scales = RowArrays.load(grid.scale());
    float[] zeros = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    int[] cv = new int[wv.length];
    int[] sources = new int[w.rows()];
    for (int r = 0; r < rows; r++) {
      List<BeamPath> beam = new ArrayList<>();
      for (int p = 0; p < paths; p++) {
        int from = (p * rows + r) * n;
        beam.add(
            new BeamPath(
                p, costs[r * paths + p], Arrays.copyOfRange(wv, from, from + n), new int[n]));
      }
      for (int j = 0; j < n; j++) {
        int g = r * grid.groups() + groupOf[j];
        beam = BeamPath.step(beam, j, uv, scales[g], zeros[g], grid.spec());
      }
      for (int p = 0; p < paths; p++) {
        BeamPath path = beam.get(p);
        sources[p * rows + r] = path.origin() * rows + r;
        costs[r * paths + p] = path.cost();
        System.arraycopy(path.weights(), 0, wv, (p * rows + r) * n, n);
        System.arraycopy(path.codes(), 0, cv, (p * rows + r) * n, n);
      }
    }
    RowArrays.store(wv, w);
    RowArrays.store(costs, cost);
    RowArrays.storeBytes(cv, codes);
    RowArrays.storeInts(sources, source);
  }

  @Override
  public void keepDescendants(Tensor origin, Tensor cost) {
    int rows = cost.rows();
    int paths = cost.columns();
    int[] origins = RowArrays.loadInts(origin);
    float[] costs = RowArrays.load(cost);
    for (int r = 0; r < rows; r++) {
      for (int p = 0; p < paths; p++) {
        if (origins[p * rows + r] != origins[r]) {
          costs[r * paths + p] = Float.POSITIVE_INFINITY;
        }
      }
    }
    RowArrays.store(costs, cost);
  }

  @Override
  public void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta) {
    int n = gradient.columns();
    float[] gv = RowArrays.load(gradient);
    float[] hv = RowArrays.load(h);
    float[] scales = RowArrays.load(grid.scale());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    int[] cv = RowArrays.loadInts(codes);
    float[] dv = new float[gv.length];
    GridSpec spec = grid.spec();
    for (int r = 0; r < gradient.rows(); r++) {
      for (int j = 0; j < n; j++) {
        float s = scales[r * grid.groups() + groupOf[j]];
        float curvature = hv[j * n + j];
        float k = curvature == 0 ? 0 : (float) Math.rint(gv[r * n + j] / (s * curvature));
        int old = cv[r * n + j];
        int moved = (int) Math.clamp(old + k, spec.scheme().minCode(), spec.maxCode());
        float d = s * (moved - old);
        for (int i = 0; i < n; i++) {
          gv[r * n + i] = Math.fma(-d, hv[j * n + i], gv[r * n + i]);
        }
        cv[r * n + j] = moved;
        dv[r * n + j] = d;
      }
    }
    RowArrays.store(gv, gradient);
    RowArrays.storeBytes(cv, codes);
    RowArrays.store(dv, delta);
  }

  @Override
  public void refitSystem(
      Tensor steps, Tensor difference, Tensor h, Tensor normal, Tensor gradient) {
    int n = steps.columns();
    int groups = gradient.columns();
    int run = n / groups;
    float[] hv = RowArrays.load(h);
    float[] t = RowArrays.load(steps);
    float[] d = RowArrays.load(difference);
    float[] a = new float[normal.rows() * normal.columns()];
    float[] b = new float[gradient.rows() * groups];
    for (int r = 0; r < steps.rows(); r++) {
      for (int g = 0; g < groups; g++) {
        double[] entries = new double[groups];
        double right = 0;
        for (int j = 0; j < n; j++) {
          double product = 0;
          for (int i = g * run; i < (g + 1) * run; i++) {
            product += (double) t[r * n + i] * hv[i * n + j];
          }
          entries[j / run] += product * t[r * n + j];
          right += product * d[r * n + j];
        }
        b[r * groups + g] = (float) right;
        for (int k = 0; k <= g; k++) {
          a[r * normal.columns() + g * (g + 1) / 2 + k] = (float) entries[k];
        }
      }
    }
    RowArrays.store(a, normal);
    RowArrays.store(b, gradient);
  }

  @Override
  public void refitScales(
      Tensor normal, Tensor gradient, GridSpec spec, Tensor scale, Tensor change) {
    float[] changes = new float[scale.rows()];
    int groups = scale.columns();
    int entries = normal.columns();
    float[] a = RowArrays.load(normal);
    float[] b = RowArrays.load(gradient);
    float[] scales = RowArrays.load(scale);
    for (int r = 0; r < scale.rows(); r++) {
      float[] row = Arrays.copyOfRange(scales, r * groups, (r + 1) * groups);
      changes[r] =
          (float)
              ScaleRefit.row(
                  Arrays.copyOfRange(a, r * entries, (r + 1) * entries),
                  Arrays.copyOfRange(b, r * groups, (r + 1) * groups),
                  spec,
                  row);
      System.arraycopy(row, 0, scales, r * groups, groups);
    }
    RowArrays.store(scales, scale);
    RowArrays.store(changes, change);
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    int n = w.columns();
    float[] wv = RowArrays.load(w);
    float[] scales = RowArrays.load(grid.scale());
    float[] zeros = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    int[] cv = new int[wv.length];
    for (int r = 0; r < w.rows(); r++) {
      for (int j = 0; j < n; j++) {
        int g = r * grid.groups() + groupOf[j];
        cv[r * n + j] = code(wv[r * n + j], scales[g], zeros[g], grid.spec());
      }
    }
    RowArrays.storeBytes(cv, codes);
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    RowArrays.store(values(codes, grid), w);
  }

  @Override
  public void subtract(Tensor w, Tensor codes, Grid grid, Tensor difference) {
    float[] values = values(codes, grid);
    float[] wv = RowArrays.load(w);
    for (int i = 0; i < wv.length; i++) {
      wv[i] -= values[i];
    }
    RowArrays.store(wv, difference);
  }

  /** {@code s·(u − z)}, row by row. */
  private static float[] values(Tensor codes, Grid grid) {
    int n = codes.columns();
    int[] cv = RowArrays.loadInts(codes);
    float[] scales = RowArrays.load(grid.scale());
    float[] zeros = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    float[] values = new float[cv.length];
    for (int r = 0; r < codes.rows(); r++) {
      for (int j = 0; j < n; j++) {
        int g = r * grid.groups() + groupOf[j];
        values[r * n + j] = scales[g] * (cv[r * n + j] - zeros[g]);
      }
    }
    return values;
  }
}
