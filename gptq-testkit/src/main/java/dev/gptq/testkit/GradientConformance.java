package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.I32;
import static dev.gptq.tensor.Layout.ROW_MAJOR;

import dev.gptq.backend.Activation;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.ScoreRows;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What {@link GradientOps} promises. */
public abstract class GradientConformance extends Conformance {
  private static final float EPSILON = 1e-5f;
  private static final int[][] SHAPES = {{1, 1}, {3, 7}, {2, 33}, {5, 64}, {2, 300}};

  /** For subclasses. */
  protected GradientConformance() {}

  private Matrix normal(int rows, int columns) {
    return inputs().normal(activation(), ROW_MAJOR, rows, columns);
  }

  @Test
  void rmsNormGradient() {
    for (int[] s : SHAPES) {
      int heads = s[0] % 2 + 1;
      Operation.Call call =
          (backend, t, scope) ->
              backend
                  .gradients()
                  .rmsNormGradient(t.get("x"), t.get("gain"), EPSILON, t.get("dy"), t.get("dx"));
      activations("rmsNormGradient " + s[0] + " x " + heads + " heads of " + s[1])
          .in("x", normal(s[0], heads * s[1]))
          .in("gain", inputs().normal(activation(), 1, s[1], 1, 0.2))
          .in("dy", normal(s[0], heads * s[1]))
          .out("dx", activation(), ROW_MAJOR, s[0], heads * s[1])
          .isWithin(Tolerance.norm(s[1]), largest(s[1]), call);
    }
  }

  @Test
  void layerNormGradient() {
    for (int[] s : SHAPES) {
      activations("layerNormGradient " + s[0] + " x " + s[1])
          .in("x", inputs().normal(activation(), s[0], s[1], 3, 1))
          .in("gain", inputs().normal(activation(), 1, s[1], 1, 0.2))
          .in("dy", normal(s[0], s[1]))
          .out("dx", activation(), ROW_MAJOR, s[0], s[1])
          .isWithin(
              Tolerance.norm(s[1]),
              largest(s[1]),
              (backend, t, scope) ->
                  backend
                      .gradients()
                      .layerNormGradient(
                          t.get("x"), t.get("gain"), EPSILON, t.get("dy"), t.get("dx")));
    }
  }

  /** Of one channel, 1/√ε enlarges every rounding. */
  private static double largest(int n) {
    return n == 1 ? 1 / Math.sqrt(EPSILON) : 100;
  }

  @Test
  void gradientOfANormInPlace() {
    activations("rmsNormGradient in place")
        .in("x", normal(4, 40))
        .in("gain", inputs().normal(activation(), 1, 40, 1, 0.2))
        .inOut("d", normal(4, 40))
        .isWithin(
            Tolerance.norm(40),
            100,
            (backend, t, scope) ->
                backend
                    .gradients()
                    .rmsNormGradient(t.get("x"), t.get("gain"), EPSILON, t.get("d"), t.get("d")));
  }

  @Test
  void activateGradient() {
    for (Activation f : Activation.values()) {
      for (int[] s : SHAPES) {
        activations("activateGradient " + f + " " + s[0] + " x " + s[1])
            .in("x", inputs().normal(activation(), s[0], s[1], 0, 3))
            .in("dy", normal(s[0], s[1]))
            .out("dx", activation(), ROW_MAJOR, s[0], s[1])
            .isWithin(
                Tolerance.function(),
                20,
                (backend, t, scope) ->
                    backend.gradients().activateGradient(f, t.get("x"), t.get("dy"), t.get("dx")));
      }
    }
  }

  @Test
  void attentionGradient() {
    float none = Float.NEGATIVE_INFINITY;
    int[][] shapes = {{1, 1}, {3, 3}, {5, 9}, {4, 70}, {2, 513}, {2, 2049}};
    for (int[] s : shapes) {
      int first = s[1] - s[0];
      for (ScoreRows rows :
          new ScoreRows[] {
            new ScoreRows(first, 0, 0, 0, none),
            new ScoreRows(first, 2, 0, 0, 0.5f),
            new ScoreRows(first, 0, 2, 0.25f, none),
            new ScoreRows(0, 0, 0, 0, none)
          }) {
        int all = s[0] == 3 ? 2 * s[0] : s[0];
        activations("attentionGradient " + Arrays.toString(s) + " " + rows)
            .in("scores", inputs().normal(all, s[1]))
            .in("dWeights", inputs().normal(all, s[1]))
            .out("weights", activation(), ROW_MAJOR, all, s[1])
            .out("dScores", activation(), ROW_MAJOR, all, s[1])
            .isWithin(
                Tolerance.dot(s[1]),
                4,
                (backend, t, scope) ->
                    backend
                        .gradients()
                        .attentionGradient(
                            t.get("scores"),
                            t.get("dWeights"),
                            s[0],
                            rows,
                            t.get("weights"),
                            t.get("dScores")));
      }
    }
  }

  @Test
  void crossEntropyGradient() {
    for (int[] s : new int[][] {{1, 1}, {3, 7}, {2, 300}}) {
      activations("crossEntropyGradient " + s[0] + " x " + s[1])
          .in("logits", inputs().normal(F32, s[0], s[1], 3, 4))
          .in("targets", inputs().indices(s[0], s[1]))
          .out("dLogits", activation(), ROW_MAJOR, s[0], s[1])
          .isWithin(
              Tolerance.logSum(s[1]),
              2,
              (backend, t, scope) ->
                  backend
                      .gradients()
                      .crossEntropyGradient(t.get("logits"), t.get("targets"), t.get("dLogits")));
    }
  }

  @Test
  void divergenceGradient() {
    for (int[] s : new int[][] {{1, 1}, {3, 7}, {2, 300}}) {
      activations("divergenceGradient " + s[0] + " x " + s[1])
          .in("logits", inputs().normal(F32, s[0], s[1], 3, 2))
          .in("base", inputs().normal(F32, s[0], s[1], -1, 2))
          .out("divergence", F32, ROW_MAJOR, 1, s[0])
          .out("dLogits", activation(), ROW_MAJOR, s[0], s[1])
          .isWithin(
              Tolerance.logSum(s[1]),
              8,
              (backend, t, scope) ->
                  backend
                      .gradients()
                      .divergenceGradient(
                          t.get("logits"), t.get("base"), t.get("divergence"), t.get("dLogits")));
    }
  }

  /** The numbers lie so far from the bounds between tokens that no rounding decides. */
  @Test
  void sample() {
    for (int[] s : new int[][] {{1, 1}, {4, 2}, {9, 33}, {6, 700}}) {
      Matrix uniform = inputs().normal(1, s[0]).abs();
      Arrays.setAll(uniform.values(), t -> uniform.values()[t] % 1);
      activations("sample " + s[0] + " of " + s[1])
          .in("logits", inputs().normal(F32, s[0], s[1], 0, 2))
          .in("uniform", uniform)
          .out("targets", I32, ROW_MAJOR, 1, s[0])
          .isExact((backend, t, scope) ->
              backend.gradients().sample(t.get("logits"), t.get("uniform"), t.get("targets")));
    }
  }

  @Test
  void addRowSquares() {
    for (int[] s : SHAPES) {
      activations("addRowSquares " + s[0] + " x " + s[1])
          .in("x", normal(s[0], s[1]))
          .inOut("sums", inputs().normal(1, s[0]).abs())
          .isWithin(
              Tolerance.dot(s[1]),
              4.0 * s[1],
              (backend, t, scope) -> backend.gradients().addRowSquares(t.get("x"), t.get("sums")));
    }
  }
}
