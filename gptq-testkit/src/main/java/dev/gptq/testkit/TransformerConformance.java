package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.Layout.ROW_MAJOR;

import dev.gptq.backend.Activation;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.tensor.DType;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What {@link TransformerOps} promises, attention apart. */
public abstract class TransformerConformance extends Conformance {
  private static final float EPSILON = 1e-5f;

  /** For subclasses. */
  protected TransformerConformance() {}

  private Matrix normal(int rows, int columns) {
    return inputs().normal(activation(), ROW_MAJOR, rows, columns);
  }

  @Test
  void embed() {
    for (int[] s : Shapes.MATRIX) {
      int vocabulary = s[0] + 3;
      activations("embed " + s[0] + " x " + s[1])
          .in("table", normal(vocabulary, s[1]))
          .in("tokens", inputs().indices(s[0], vocabulary))
          .out("x", activation(), ROW_MAJOR, s[0], s[1])
          .isExact((backend, t, scope) ->
              backend.transformer().embed(t.get("table"), t.get("tokens"), t.get("x")));
    }
  }

  @Test
  void rmsNorm() {
    for (int[] s : Shapes.MATRIX) {
      for (int heads : new int[] {1, 3}) {
        Matrix x = normal(s[0], heads * s[1]);
        Matrix gain = inputs().normal(activation(), 1, s[1], 1, 0.2);
        String label = "rmsNorm " + s[0] + " x " + heads + " heads of " + s[1];
        activations(label)
            .in("x", x)
            .in("gain", gain)
            .out("y", activation(), ROW_MAJOR, s[0], heads * s[1])
            .isWithin(
                Tolerance.norm(s[1]),
                (backend, t, scope) ->
                    backend.transformer().rmsNorm(t.get("x"), t.get("gain"), EPSILON, t.get("y")));
        activations(label + ", in place")
            .inOutAnyShape("x", x)
            .in("gain", gain)
            .isWithin(
                Tolerance.norm(s[1]),
                (backend, t, scope) ->
                    backend.transformer().rmsNorm(t.get("x"), t.get("gain"), EPSILON, t.get("x")));
      }
    }
  }

  /** A row of zeros stays one; ε counts where the mean square is small. */
  @Test
  void rmsNormOfSmallRows() {
    Matrix x = inputs().normal(activation(), 4, 33, 0, 1e-4);
    Arrays.fill(x.values(), 0, 33, 0);
    activations("rmsNorm of small rows")
        .in("x", x)
        .in("gain", normal(1, 33))
        .out("y", activation(), ROW_MAJOR, 4, 33)
        .isWithin(
            Tolerance.norm(33),
            (backend, t, scope) ->
                backend.transformer().rmsNorm(t.get("x"), t.get("gain"), 1e-6f, t.get("y")));
  }

  @Test
  void layerNorm() {
    for (int[] s : Shapes.MATRIX) {
      for (double mean : new double[] {0, 5}) {
        Matrix x = inputs().normal(activation(), s[0], s[1], mean, 1);
        Matrix gain = inputs().normal(activation(), 1, s[1], 1, 0.2);
        Matrix bias = normal(1, s[1]);
        Matrix magnitude = Definitions.layerNormMagnitude(x, gain, bias, EPSILON);
        String label = "layerNorm " + s[0] + " x " + s[1] + " about " + mean;
        activations(label)
            .in("x", x)
            .in("gain", gain)
            .in("bias", bias)
            .out("y", activation(), ROW_MAJOR, s[0], s[1])
            .isWithin(
                Tolerance.norm(s[1]),
                magnitude,
                (backend, t, scope) ->
                    backend
                        .transformer()
                        .layerNorm(t.get("x"), t.get("gain"), t.get("bias"), EPSILON, t.get("y")));
        activations(label + ", in place")
            .inOut("x", x)
            .in("gain", gain)
            .in("bias", bias)
            .isWithin(
                Tolerance.norm(s[1]),
                magnitude,
                (backend, t, scope) ->
                    backend
                        .transformer()
                        .layerNorm(t.get("x"), t.get("gain"), t.get("bias"), EPSILON, t.get("x")));
      }
    }
  }

  @Test
  void rope() {
    // heads, head size, rotated channels, length, sequences, first position
    int[][] cases = {
      {1, 2, 2, 1, 1, 0}, {2, 8, 8, 5, 1, 0}, {3, 16, 16, 7, 2, 3}, {4, 64, 64, 9, 1, 11},
      {2, 10, 4, 6, 3, 0}, {3, 80, 32, 5, 1, 2}, {1, 34, 34, 17, 1, 0}, {2, 30, 18, 4, 2, 5}
    };
    for (int[] c : cases) {
      int columns = c[0] * c[1];
      int half = c[2] / 2;
      int positions = c[5] + c[3] + 1;
      Matrix x = normal(c[3] * c[4], columns);
      for (RopePairs pairs : RopePairs.values()) {
        Operation.Call call =
            (backend, t, scope) ->
                backend
                    .transformer()
                    .rope(t.get("x"), c[1], pairs, t.get("cosine"), t.get("sine"), c[5], c[4]);
        activations("rope " + pairs + " " + Arrays.toString(c))
            .inOutAnyShape("x", x)
            .in("cosine", Definitions.angles(positions, half, Math::cos))
            .in("sine", Definitions.angles(positions, half, Math::sin))
            .isWithin(
                Tolerance.rounding(),
                Definitions.constant(x.rows(), columns, 2 * Definitions.largest(x)),
                call);
      }
    }
  }

  @Test
  void activate() {
    for (Activation f : Activation.values()) {
      for (int[] s : Shapes.MATRIX) {
        activate(f, normal(s[0], s[1]));
      }
      double[] special = {0, -0.0, 1e-30, -1e-30, 0x1p-140, 10, -10, 40, -40, 90, -90, 1e4, -1e4};
      activate(f, new Matrix(activation(), ROW_MAJOR, 1, special.length, special));
      Matrix sweep = Definitions.constant(16, 64, 0).as(activation());
      Arrays.setAll(sweep.values(), i -> (i - 512) / 64.0);
      activate(f, sweep.as(activation()));
    }
  }

  private void activate(Activation f, Matrix x) {
    activations("activate " + f + " " + x)
        .in("x", x)
        .out("y", activation(), ROW_MAJOR, x.rows(), x.columns())
        .isWithin(
            Tolerance.function(),
            x.abs().as(F32),
            (backend, t, scope) -> backend.transformer().activate(f, t.get("x"), t.get("y")));
    activations("activate " + f + " in place " + x)
        .inOutAnyShape("x", x)
        .isWithin(
            Tolerance.function(),
            x.abs().as(F32),
            (backend, t, scope) -> backend.transformer().activate(f, t.get("x"), t.get("x")));
  }

  @Test
  void gate() {
    for (Activation f : Activation.values()) {
      for (int[] s : Shapes.MATRIX) {
        Matrix gate = normal(s[0], s[1]);
        Matrix up = normal(s[0], s[1]);
        Matrix magnitude = Definitions.products(gate, up);
        String label = "gate " + f + " " + s[0] + " x " + s[1];
        activations(label)
            .in("gate", gate)
            .in("up", up)
            .out("y", activation(), ROW_MAJOR, s[0], s[1])
            .isWithin(
                Tolerance.function(),
                magnitude,
                (backend, t, scope) ->
                    backend.transformer().gate(f, t.get("gate"), t.get("up"), t.get("y")));
        activations(label + " into gate")
            .inOut("gate", gate)
            .in("up", up)
            .isWithin(
                Tolerance.function(),
                magnitude,
                (backend, t, scope) ->
                    backend.transformer().gate(f, t.get("gate"), t.get("up"), t.get("gate")));
        activations(label + " into up")
            .in("gate", gate)
            .inOut("up", up)
            .isWithin(
                Tolerance.function(),
                magnitude,
                (backend, t, scope) ->
                    backend.transformer().gate(f, t.get("gate"), t.get("up"), t.get("up")));
      }
    }
  }

  @Test
  void add() {
    for (int[] s : Shapes.MATRIX) {
      activations("add " + s[0] + " x " + s[1])
          .in("x", normal(s[0], s[1]))
          .inOut("y", normal(s[0], s[1]))
          .isWithin(
              Tolerance.rounding(),
              (backend, t, scope) -> backend.transformer().add(t.get("x"), t.get("y")));
    }
  }

  @Test
  void addBias() {
    for (int[] s : Shapes.MATRIX) {
      activations("addBias " + s[0] + " x " + s[1])
          .in("bias", normal(1, s[1]))
          .inOut("y", normal(s[0], s[1]))
          .isWithin(
              Tolerance.rounding(),
              (backend, t, scope) -> backend.transformer().addBias(t.get("bias"), t.get("y")));
    }
  }

  @Test
  void scale() {
    for (int[] s : Shapes.MATRIX) {
      activations("scale " + s[0] + " x " + s[1])
          .inOutAnyShape("x", normal(s[0], s[1]))
          .isWithin(
              Tolerance.rounding(),
              (backend, t, scope) -> backend.transformer().scale(-0.3f, t.get("x")));
    }
  }

  @Test
  void softCap() {
    for (DType type : new DType[] {F32, activation()}) {
      for (int[] s : Shapes.MATRIX) {
        Matrix x = inputs().normal(type, s[0], s[1], 0, 40);
        activations("softCap " + x)
            .inOutAnyShape("x", x)
            .isWithin(
                Tolerance.function(),
                Definitions.constant(s[0], s[1], 30),
                (backend, t, scope) -> backend.transformer().softCap(30, t.get("x")));
      }
    }
  }

  @Test
  void clamp() {
    for (int[] s : Shapes.MATRIX) {
      activations("clamp " + s[0] + " x " + s[1])
          .inOutAnyShape("x", normal(s[0], s[1]))
          .isExact((backend, t, scope) -> backend.transformer().clamp(-1, 0.5f, t.get("x")));
      activations("clamp from above " + s[0] + " x " + s[1])
          .inOutAnyShape("x", normal(s[0], s[1]))
          .isExact((backend, t, scope) ->
              backend.transformer().clamp(Float.NEGATIVE_INFINITY, 0.25f, t.get("x")));
    }
  }

  @Test
  void convolve() {
    // columns, width, inputs and results of a sequence, sequences
    int[][] cases = {
      {1, 1, 1, 1, 1},
      {3, 4, 5, 5, 2},
      {17, 4, 9, 9, 1},
      {33, 3, 7, 1, 3},
      {64, 2, 6, 4, 2},
      {5, 4, 2, 2, 2}
    };
    for (int[] c : cases) {
      Matrix x = normal(c[4] * c[2], c[0]);
      Matrix weight = normal(c[1], c[0]);
      double largest = c[1] * Definitions.largest(x) * Definitions.largest(weight);
      activations("convolve " + Arrays.toString(c))
          .in("x", x)
          .in("weight", weight)
          .out("y", activation(), ROW_MAJOR, c[4] * c[3], c[0])
          .isWithin(
              Tolerance.dot(c[1]),
              Definitions.constant(c[4] * c[3], c[0], largest),
              (backend, t, scope) ->
                  backend.transformer().convolve(t.get("x"), t.get("weight"), c[4], t.get("y")));
    }
  }

  @Test
  void decay() {
    for (int[] s : Shapes.MATRIX) {
      activations("decay " + s[0] + " x " + s[1])
          .in("x", inputs().normal(activation(), s[0], s[1], 0, 10))
          .in("shift", inputs().normal(1, s[1]))
          .in("rate", inputs().normal(1, s[1]).abs())
          .out("y", F32, ROW_MAJOR, s[0], s[1])
          .isWithin(
              Tolerance.function(),
              Definitions.constant(s[0], s[1], 20),
              (backend, t, scope) ->
                  backend
                      .transformer()
                      .decay(t.get("x"), t.get("shift"), t.get("rate"), t.get("y")));
    }
  }

  @Test
  void deltaRule() {
    // heads, heads that keys have, size of a key, of a value, length, sequences
    int[][] cases = {
      {1, 1, 1, 1, 1, 1},
      {2, 2, 4, 3, 5, 2},
      {4, 2, 16, 16, 9, 1},
      {6, 2, 8, 33, 3, 3},
      {2, 1, 32, 130, 4, 1}
    };
    for (int[] c : cases) {
      int tokens = c[4] * c[5];
      double unit = 1 / Math.sqrt(c[2]);
      activations("deltaRule " + Arrays.toString(c))
          .in("q", inputs().normal(activation(), tokens, c[1] * c[2], 0, unit))
          .in("k", inputs().normal(activation(), tokens, c[1] * c[2], 0, unit))
          .in("v", normal(tokens, c[0] * c[3]))
          .in("decay", Definitions.constant(tokens, c[0], 0.75))
          .in("beta", inputs().normal(activation(), tokens, c[0], 0.5, 0.1))
          .inOut("state", inputs().normal(F32, c[5] * c[0] * c[2], c[3], 0, 1))
          .out("y", activation(), ROW_MAJOR, tokens, c[0] * c[3])
          .isWithin(
              Tolerance.dot(c[2] * c[4]),
              20.0 * c[2],
              (backend, t, scope) ->
                  backend
                      .transformer()
                      .deltaRule(
                          t.get("q"),
                          t.get("k"),
                          t.get("v"),
                          t.get("decay"),
                          t.get("beta"),
                          t.get("state"),
                          c[5],
                          t.get("y")));
    }
  }

  @Test
  void softplus() {
    for (int[] s : Shapes.MATRIX) {
      activations("softplus " + s[0] + " x " + s[1])
          .in("x", inputs().normal(activation(), s[0], s[1], 0, 4))
          .in("shift", inputs().normal(F32, 1, s[1], 0, 4))
          .out("y", F32, ROW_MAJOR, s[0], s[1])
          .isWithin(
              Tolerance.function(),
              30,
              (backend, t, scope) ->
                  backend.transformer().softplus(t.get("x"), t.get("shift"), 0.1f, 3, t.get("y")));
    }
  }

  @Test
  void stateSpace() {
    // heads, heads that keys have, size of a key, of a value, length, sequences
    int[][] cases = {
      {1, 1, 1, 1, 1, 1},
      {2, 2, 4, 3, 5, 2},
      {4, 2, 16, 16, 9, 1},
      {6, 2, 8, 33, 3, 3},
      {2, 1, 32, 130, 4, 1}
    };
    for (int[] c : cases) {
      int tokens = c[4] * c[5];
      double unit = 1 / Math.sqrt(c[2]);
      activations("stateSpace " + Arrays.toString(c))
          .in("q", inputs().normal(activation(), tokens, c[1] * c[2], 0, unit))
          .in("k", inputs().normal(activation(), tokens, c[1] * c[2], 0, unit))
          .in("v", normal(tokens, c[0] * c[3]))
          .in("step", inputs().normal(F32, tokens, c[0], 0.5, 0.1))
          .in("rate", inputs().normal(F32, 1, c[0], 1, 0.1))
          .inOut("state", inputs().normal(F32, c[5] * c[0] * c[2], c[3], 0, 1))
          .out("y", activation(), ROW_MAJOR, tokens, c[0] * c[3])
          .isWithin(
              Tolerance.dot(c[2] * c[4]),
              20.0 * c[2],
              (backend, t, scope) ->
                  backend
                      .transformer()
                      .stateSpace(
                          t.get("q"),
                          t.get("k"),
                          t.get("v"),
                          t.get("step"),
                          t.get("rate"),
                          t.get("state"),
                          c[5],
                          t.get("y")));
    }
  }

  @Test
  void gatherRows() {
    for (int[] s : Shapes.ROWS) {
      activations("gatherRows " + s[0] + " x " + s[1])
          .in("x", normal(s[0], s[1]))
          .in("index", inputs().indices(s[0] + 2, s[0]))
          .out("y", activation(), ROW_MAJOR, s[0] + 2, s[1])
          .isExact((backend, t, scope) ->
              backend.transformer().gatherRows(t.get("x"), t.get("index"), t.get("y")));
    }
  }

  @Test
  void scatterAddRows() {
    for (int[] s : Shapes.ROWS) {
      int rows = s[0] + 5;
      Matrix x = normal(s[0], s[1]);
      Matrix weight = inputs().normal(1, s[0]);
      Matrix y = normal(rows, s[1]);
      double largest =
          Definitions.largest(x) * Definitions.largest(weight) + Definitions.largest(y);
      activations("scatterAddRows " + s[0] + " x " + s[1])
          .in("x", x)
          .in("index", inputs().distinct(s[0], rows))
          .in("weight", weight)
          .inOut("y", y)
          .isWithin(
              Tolerance.rounding(),
              Definitions.constant(rows, s[1], largest),
              (backend, t, scope) ->
                  backend
                      .transformer()
                      .scatterAddRows(t.get("x"), t.get("index"), t.get("weight"), t.get("y")));
    }
  }

  @Test
  void crossEntropy() {
    for (DType type : new DType[] {F32, activation()}) {
      for (int[] s : new int[][] {{1, 1}, {1, 2}, {3, 7}, {5, 33}, {17, 129}, {4, 4096}}) {
        for (double deviation : new double[] {1, 30}) {
          Matrix logits = inputs().normal(type, s[0], s[1], 3, deviation);
          activations("crossEntropy " + logits + " deviating by " + deviation)
              .in("logits", logits)
              .in("targets", inputs().indices(s[0], s[1]))
              .out("loss", F32, ROW_MAJOR, 1, s[0])
              .isWithin(
                  Tolerance.logSum(s[1]),
                  Definitions.constant(1, s[0], 1 + 2 * Definitions.largest(logits)),
                  (backend, t, scope) ->
                      backend
                          .transformer()
                          .crossEntropy(t.get("logits"), t.get("targets"), t.get("loss")));
        }
      }
    }
  }

  /**
   * Predictions from as near as those of 8 bits to such that have nothing to do with each other.
   */
  @Test
  void divergence() {
    for (int[] s : new int[][] {{1, 1}, {1, 2}, {3, 7}, {5, 33}, {17, 129}, {2, 5003}}) {
      for (double noise : new double[] {0, 1e-4, 0.01, 0.3, 2, 30}) {
        Matrix base = inputs().normal(F32, s[0], s[1], 3, 4);
        divergence(base, base.minus(inputs().normal(F32, s[0], s[1], 0.125, noise)), s);
      }
    }
  }

  /** Tokens that one of the models, or both, can never predict. */
  @Test
  void divergenceOfImpossibleTokens() {
    int[] shape = {4, 77};
    Matrix base = inputs().normal(F32, 4, 77, 0, 3);
    Matrix logits = base.minus(inputs().normal(F32, 4, 77, 0, 0.1));
    for (int t = 0; t < 4; t++) {
      int from = 77 * t;
      base.values()[from + 3] = Double.NEGATIVE_INFINITY;
      base.values()[from + 76] = Double.NEGATIVE_INFINITY;
      logits.values()[from + 76] = Double.NEGATIVE_INFINITY;
    }
    logits.values()[2 * 77 + 5] = Double.NEGATIVE_INFINITY;
    divergence(base, logits, shape);
  }

  private void divergence(Matrix base, Matrix logits, int[] s) {
    Matrix targets = inputs().indices(s[0], Math.min(s[1], 3));
    double change = largestFinite(logits.minus(base));
    Operation operation =
        activations("divergence by " + change + " of " + base)
            .in("logits", logits)
            .in("base", base)
            .in("targets", targets)
            .out("found", F32, ROW_MAJOR, 4, s[0]);
    Operation.Call call =
        (backend, t, scope) ->
            backend
                .transformer()
                .divergence(t.get("logits"), t.get("base"), t.get("targets"), t.get("found"));
    Matrix found = operation.expect(call).get("found");
    double[] magnitude = new double[4 * s[0]];
    double largest = largestFinite(base) + largestFinite(logits);
    for (int t = 0; t < s[0]; t++) {
      // The oracle's own rounding shows where the divergence is next to nothing.
      double divergence = found.at(0, t) + 1e-8;
      magnitude[t] = divergence;
      magnitude[s[0] + t] = 1 + largest;
      magnitude[2 * s[0] + t] = change + (divergence < 0.4 ? divergence : 1 + largest);
    }
    operation.isWithin(Tolerance.dot(s[1]), Matrix.of(4, s[0], magnitude), call);
  }

  private static double largestFinite(Matrix m) {
    return Arrays.stream(m.values()).filter(Double::isFinite).map(Math::abs).max().orElse(0);
  }
}
