package dev.gptq.reference;

import dev.gptq.backend.TuningOps;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;

/** Tuning as its contract says. */
final class ReferenceTuningOps implements TuningOps {

  @Override
  public void beginOffsets(Tensor w, Tensor codes, Grid grid, Tensor offsets) {
    int n = codes.columns();
    float[] wv = RowArrays.load(w);
    int[] u = RowArrays.loadInts(codes);
    float[] s = RowArrays.load(grid.scale());
    float[] z = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    float[] v = new float[wv.length];
    for (int i = 0; i < v.length; i++) {
      int g = i / n * grid.groups() + groupOf[i % n];
      float half = (wv[i] / s[g] + z[g] - u[i]) * 0.5f;
      v[i] = Math.clamp(half, -MOST_BEGINNING, MOST_BEGINNING);
    }
    RowArrays.store(v, offsets);
  }

  @Override
  public void descend(
      Tensor gradient,
      Tensor codes,
      Grid grid,
      float step,
      float scaleStep,
      Tensor offsets,
      Tensor factors) {
    int n = codes.columns();
    float least = grid.spec().scheme().minCode();
    float most = grid.spec().maxCode();
    float[] d = RowArrays.load(gradient);
    int[] u = RowArrays.loadInts(codes);
    float[] s = RowArrays.load(grid.scale());
    float[] z = RowArrays.load(grid.zero());
    int[] groupOf = RowArrays.loadInts(grid.groupOf());
    float[] v = RowArrays.load(offsets);
    float[] f = RowArrays.load(factors);
    float[] slope = new float[f.length];
    for (int i = 0; i < v.length; i++) {
      int g = i / n * grid.groups() + groupOf[i % n];
      slope[g] = Math.fma(d[i], code(u[i] + v[i], least, most) - z[g], slope[g]);
      float lowest = Math.max(-MOST_OFFSET, least - 0.5f - u[i]);
      float highest = Math.min(MOST_OFFSET, most + 0.5f - u[i]);
      float moved = v[i] - step * Math.signum(d[i]) * Math.signum(s[g]);
      v[i] = Math.max(lowest, Math.min(highest, moved));
    }
    for (int g = 0; g < f.length; g++) {
      float moved = f[g] - scaleStep * Math.signum(slope[g]) * Math.signum(s[g]);
      f[g] = Math.max(LEAST_FACTOR, Math.min(MOST_FACTOR, moved));
    }
    RowArrays.store(v, offsets);
    RowArrays.store(f, factors);
  }

  @Override
  public void tuned(
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      Tensor tunedCodes,
      Tensor tunedScale) {
    float least = grid.spec().scheme().minCode();
    float most = grid.spec().maxCode();
    int[] u = RowArrays.loadInts(codes);
    float[] v = RowArrays.load(offsets);
    float[] s = RowArrays.load(grid.scale());
    float[] f = RowArrays.load(factors);
    for (int i = 0; i < u.length; i++) {
      u[i] = (int) code(u[i] + v[i], least, most);
    }
    for (int g = 0; g < s.length; g++) {
      s[g] = grid.spec().roundScale(f[g] * s[g]);
    }
    RowArrays.storeBytes(u, tunedCodes);
    RowArrays.store(s, tunedScale);
  }

  private static float code(float place, float least, float most) {
    return Math.clamp((float) Math.rint(place), least, most);
  }
}
