package dev.gptq.reference;

import dev.gptq.grid.GridSpec;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** One partial solution of a row. */
final class BeamPath {
  private final int origin;
  private final float cost;
  private final float[] weights;
  private final int[] codes;

  /**
   * A path.
   *
   * @param origin its index before the block
   * @param weights the errors of the columns done, the current weights of those to come
   * @param codes the codes of the columns done
   */
  BeamPath(int origin, float cost, float[] weights, int[] codes) {
    this.origin = origin;
    this.cost = cost;
    this.weights = weights;
    this.codes = codes;
  }

  int origin() {
    return origin;
  }

  float cost() {
    return cost;
  }

  float[] weights() {
    return weights;
  }

  int[] codes() {
    return codes;
  }

  /** A code for the next column and what the path costs with it. */
  private record Continuation(BeamPath path, int code, float error, float cost) {

    BeamPath take(int j, float[] u) {
      int n = path.weights.length;
      float[] weights = path.weights.clone();
      int[] codes = path.codes.clone();
      for (int k = j + 1; k < n; k++) {
        weights[k] = Math.fma(-error, u[j * n + k], weights[k]);
      }
      weights[j] = error;
      codes[j] = code;
      return new BeamPath(path.origin, cost, weights, codes);
    }
  }

  /** The paths after column j, as many as before it. */
  static List<BeamPath> step(
      List<BeamPath> beam, int j, float[] u, float scale, float zero, GridSpec spec) {
    List<Continuation> all = new ArrayList<>();
    for (BeamPath path : beam) {
      float w = path.weights[j];
      float pivot = u[j * path.weights.length + j];
      int code = ReferenceQuantizationOps.code(w, scale, zero, spec);
      all.add(path.with(code, w, pivot, scale, zero));
      boolean above = w - scale * (code - zero) >= 0;
      int neighbour = above == scale > 0 ? code + 1 : code - 1;
      if (neighbour >= spec.scheme().minCode() && neighbour <= spec.maxCode()) {
        all.add(path.with(neighbour, w, pivot, scale, zero));
      }
    }
    // The sort is stable, as the contract wants for equal costs.
    all.sort(Comparator.comparingDouble(Continuation::cost));
    return all.stream().limit(beam.size()).map(c -> c.take(j, u)).toList();
  }

  private Continuation with(int code, float w, float pivot, float scale, float zero) {
    float e = (w - scale * (code - zero)) / pivot;
    return new Continuation(this, code, e, Math.fma(0.5f * e, e, cost));
  }
}
