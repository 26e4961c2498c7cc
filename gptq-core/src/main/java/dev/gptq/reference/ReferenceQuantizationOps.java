package dev.gptq.reference;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.ErrorNorm;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/** The exact operations, written as their contracts are. */
final class ReferenceQuantizationOps implements QuantizationOps {
  private static final int CANDIDATES = 80;

  /** One row's grid. */
  private record Fit(float scale, float zero) {}

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    int n = w.columns();
    float[] wv = Elements.load(w);
    float[] scales = new float[w.rows()];
    float[] zeros = new float[w.rows()];
    for (int r = 0; r < w.rows(); r++) {
      Fit fit = fitRow(wv, r * n, n, spec);
      scales[r] = fit.scale();
      zeros[r] = fit.zero();
    }
    Elements.store(scales, scale);
    Elements.store(zeros, zero);
  }

  private static Fit fitRow(float[] w, int from, int n, GridSpec spec) {
    float lo = 0;
    float hi = 0;
    for (int c = from; c < from + n; c++) {
      lo = Math.min(lo, w[c]);
      hi = Math.max(hi, w[c]);
    }
    if (!spec.scheme().hasZeroPoint()) {
      hi = Math.max(-lo, hi);
      lo = -hi;
    }
    if (lo == 0 && hi == 0) {
      lo = -1;
      hi = 1;
    }
    Fit best = fitRange(lo, hi, spec);
    if (spec.search() == GridSearch.MIN_MAX) {
      return best;
    }
    float least = Float.POSITIVE_INFINITY;
    for (int i = 0; i < CANDIDATES; i++) {
      float p = (float) (1 - i / 100.0);
      Fit fit = fitRange(p * lo, p * hi, spec);
      float error = 0;
      for (int c = from; c < from + n; c++) {
        int u = code(w[c], fit.scale(), fit.zero(), spec);
        error += ErrorNorm.of(fit.scale() * (u - fit.zero()) - w[c]);
      }
      if (error < least) {
        least = error;
        best = fit;
      }
    }
    return best;
  }

  private static Fit fitRange(float lo, float hi, GridSpec spec) {
    float scale = spec.roundScale((hi - lo) / spec.scheme().levels(spec.bits()));
    float zero =
        spec.scheme().hasZeroPoint()
            ? Math.clamp((float) Math.rint(-lo / scale), 0, spec.maxCode())
            : spec.scheme().fixedZero(spec.bits());
    return new Fit(scale, zero);
  }

  private static int code(float w, float scale, float zero, GridSpec spec) {
    float t = w / scale;
    float rounded = spec.scheme().isMidRise() ? (float) Math.floor(t) + 0.5f : (float) Math.rint(t);
    return (int) Math.clamp(rounded + zero, spec.scheme().minCode(), spec.maxCode());
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    int n = w.columns();
    float[] wv = Elements.load(w);
    float[] uv = Elements.load(u);
    float[] scales = Elements.load(grid.scale());
    float[] zeros = Elements.load(grid.zero());
    int[] groupOf = Elements.loadInts(grid.groupOf());
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
    Elements.store(wv, w);
    Elements.storeBytes(cv, codes);
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    int n = w.columns();
    float[] wv = Elements.load(w);
    float[] scales = Elements.load(grid.scale());
    float[] zeros = Elements.load(grid.zero());
    int[] groupOf = Elements.loadInts(grid.groupOf());
    int[] cv = new int[wv.length];
    for (int r = 0; r < w.rows(); r++) {
      for (int j = 0; j < n; j++) {
        int g = r * grid.groups() + groupOf[j];
        cv[r * n + j] = code(wv[r * n + j], scales[g], zeros[g], grid.spec());
      }
    }
    Elements.storeBytes(cv, codes);
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    int n = w.columns();
    int[] cv = Elements.loadInts(codes);
    float[] scales = Elements.load(grid.scale());
    float[] zeros = Elements.load(grid.zero());
    int[] groupOf = Elements.loadInts(grid.groupOf());
    float[] wv = new float[cv.length];
    for (int r = 0; r < w.rows(); r++) {
      for (int j = 0; j < n; j++) {
        int g = r * grid.groups() + groupOf[j];
        wv[r * n + j] = scales[g] * (cv[r * n + j] - zeros[g]);
      }
    }
    Elements.store(wv, w);
  }
}
