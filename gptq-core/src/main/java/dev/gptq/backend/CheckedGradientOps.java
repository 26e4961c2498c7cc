package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** Checks arguments, then delegates. */
record CheckedGradientOps(GradientOps delegate, DType activation) implements GradientOps {

  @Override
  public void rmsNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    same("rmsNormGradient", x, dy, dx)
        .row("gain", gain, activation, gain.columns())
        .that(x.columns() % gain.columns() == 0, "gain's columns must divide x's");
    delegate.rmsNormGradient(x, gain, epsilon, dy, dx);
  }

  @Override
  public void layerNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    same("layerNormGradient", x, dy, dx).row("gain", gain, activation, x.columns());
    delegate.layerNormGradient(x, gain, epsilon, dy, dx);
  }

  @Override
  public void activateGradient(Activation f, Tensor x, Tensor dy, Tensor dx) {
    same("activateGradient", x, dy, dx);
    delegate.activateGradient(f, x, dy, dx);
  }

  private Shapes same(String operation, Tensor x, Tensor dy, Tensor dx) {
    Shapes shapes = Shapes.of(operation);
    rows(shapes, "x", x, activation, x);
    rows(shapes, "dy", dy, activation, x);
    return rows(shapes, "dx", dx, activation, x);
  }

  private static Shapes rows(Shapes shapes, String name, Tensor t, DType type, Tensor like) {
    return shapes.type(name, t, type).rowMajor(name, t).shape(name, t, like.rows(), like.columns());
  }

  @Override
  public void attentionGradient(
      Tensor scores, Tensor dWeights, int queries, ScoreRows rows, Tensor weights, Tensor dScores) {
    Shapes shapes = Shapes.of("attentionGradient");
    rows(shapes, "scores", scores, DType.F32, scores);
    rows(shapes, "dWeights", dWeights, DType.F32, scores);
    rows(shapes, "weights", weights, activation, scores);
    rows(shapes, "dScores", dScores, activation, scores)
        .that(queries > 0 && scores.rows() % queries == 0, "sequences must have equal queries")
        .that(rows.from(queries - 1) < scores.columns(), "the last query sees no key");
    delegate.attentionGradient(scores, dWeights, queries, rows, weights, dScores);
  }

  @Override
  public void crossEntropyGradient(Tensor logits, Tensor targets, Tensor dLogits) {
    Shapes shapes = Shapes.of("crossEntropyGradient").index("targets", targets, logits.rows());
    rows(shapes, "logits", logits, DType.F32, logits);
    rows(shapes, "dLogits", dLogits, activation, logits);
    delegate.crossEntropyGradient(logits, targets, dLogits);
  }

  @Override
  public void divergenceGradient(Tensor logits, Tensor base, Tensor divergence, Tensor dLogits) {
    Shapes shapes =
        Shapes.of("divergenceGradient").row("divergence", divergence, DType.F32, logits.rows());
    rows(shapes, "logits", logits, DType.F32, logits);
    rows(shapes, "base", base, DType.F32, logits);
    rows(shapes, "dLogits", dLogits, activation, logits);
    delegate.divergenceGradient(logits, base, divergence, dLogits);
  }

  @Override
  public void sample(Tensor logits, Tensor uniform, Tensor targets) {
    Shapes shapes =
        Shapes.of("sample")
            .row("uniform", uniform, DType.F32, logits.rows())
            .index("targets", targets, logits.rows());
    rows(shapes, "logits", logits, DType.F32, logits);
    delegate.sample(logits, uniform, targets);
  }

  @Override
  public void addRowSquares(Tensor x, Tensor sums) {
    Shapes shapes = Shapes.of("addRowSquares").row("sums", sums, DType.F32, x.rows());
    rows(shapes, "x", x, activation, x);
    delegate.addRowSquares(x, sums);
  }
}
