package dev.gptq.simd;

import dev.gptq.backend.Activation;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.ScoreRows;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** Derivatives in float32, rows shared among the workers. */
final class SimdGradientOps implements GradientOps {
  // Elements of a task: enough to pay for handing it out.
  private static final int GRAIN = 1 << 14;

  private final Execution execution;

  SimdGradientOps(Execution execution) {
    this.execution = execution;
  }

  @Override
  public void rmsNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    Matrix xm = Activations.rows("x", x);
    Matrix g = Activations.rows("gain", gain);
    Matrix d = Activations.rows("dy", dy);
    Matrix out = Activations.rows("dx", dx);
    forRows(xm, (from, to) -> NormGradient.rms(xm, g, epsilon, d, out, from, to));
  }

  @Override
  public void layerNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    Matrix xm = Activations.rows("x", x);
    Matrix g = Activations.rows("gain", gain);
    Matrix d = Activations.rows("dy", dy);
    Matrix out = Activations.rows("dx", dx);
    forRows(xm, (from, to) -> NormGradient.layer(xm, g, epsilon, d, out, from, to));
  }

  @Override
  public void activateGradient(Activation f, Tensor x, Tensor dy, Tensor dx) {
    Matrix xm = Activations.rows("x", x);
    Matrix d = Activations.rows("dy", dy);
    Matrix out = Activations.rows("dx", dx);
    forRows(xm, (from, to) -> Derivatives.apply(f, xm, d, out, from, to));
  }

  @Override
  public void attentionGradient(
      Tensor scores, Tensor dWeights, int queries, ScoreRows rows, Tensor weights, Tensor dScores) {
    Matrix s = Activations.rows("scores", scores);
    Matrix dw = Activations.rows("dWeights", dWeights);
    Matrix w = Activations.rows("weights", weights);
    Matrix ds = Activations.rows("dScores", dScores);
    forRows(s, (from, to) -> AttentionRows.run(s, dw, queries, rows, w, ds, new int[] {from, to}));
  }

  @Override
  public void crossEntropyGradient(Tensor logits, Tensor targets, Tensor dLogits) {
    Matrix l = Activations.rows("logits", logits);
    Matrix d = Activations.rows("dLogits", dLogits);
    int[] target = Indices.of(targets);
    forRows(
        l,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            exponentials(l, t, d, t);
            double total = sum(d, t);
            Elementwise.scale((float) (1 / total), d, t, t + 1);
            long at = d.at(t, target[t]);
            d.segment().set(Lanes.FLOAT, at, d.segment().get(Lanes.FLOAT, at) - 1);
          }
        });
  }

  @Override
  public void divergenceGradient(Tensor logits, Tensor base, Tensor divergence, Tensor dLogits) {
    Matrix l = Activations.rows("logits", logits);
    Matrix b = Activations.rows("base", base);
    Matrix out = Activations.rows("divergence", divergence);
    Matrix d = Activations.rows("dLogits", dLogits);
    forRows(
        l,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            float value = (float) DivergenceGradientRow.run(l, b, d, t);
            out.segment().set(Lanes.FLOAT, out.at(0, t), value);
          }
        });
  }

  @Override
  public void sample(Tensor logits, Tensor uniform, Tensor targets) {
    Matrix l = Activations.rows("logits", logits);
    float[] u = Activations.vector(uniform);
    Matrix out = Activations.rows("targets", targets);
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.RESULT, execution.pool().workers(), 4L * l.columns());
    execution
        .pool()
        .forEach(
            l.rows(),
            (t, worker) -> {
              Matrix row = Matrix.rowMajor(scratch[worker], 1, l.columns());
              exponentials(l, t, row, 0);
              double bound = u[t] * sum(row, 0);
              int i = 0;
              double sum = row.segment().get(Lanes.FLOAT, 0);
              while (sum <= bound && i + 1 < row.columns()) {
                i++;
                sum += row.segment().get(Lanes.FLOAT, 4L * i);
              }
              out.segment().set(Lanes.INT, out.at(0, t), i);
            });
  }

  /** {@code e^(x − max)} of a row. */
  private static void exponentials(Matrix x, int r, Matrix y, int s) {
    int n = x.columns();
    float most = Softmax.max(x.segment(), x.at(r, 0), n);
    MemorySegment.copy(x.segment(), x.at(r, 0), y.segment(), y.at(s, 0), 4L * n);
    Softmax.expInPlace(y.segment(), y.at(s, 0), n, most);
  }

  private static double sum(Matrix m, int row) {
    double sum = 0;
    for (int c = 0; c < m.columns(); c++) {
      sum += m.segment().get(Lanes.FLOAT, m.at(row, c));
    }
    return sum;
  }

  @Override
  public void addRowSquares(Tensor x, Tensor sums) {
    Matrix xm = Activations.rows("x", x);
    Matrix out = Activations.rows("sums", sums);
    forRows(
        xm,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            double sum =
                out.segment().get(Lanes.FLOAT, out.at(0, t)) + Reductions.dot(xm, t, xm, t);
            out.segment().set(Lanes.FLOAT, out.at(0, t), (float) sum);
          }
        });
  }

  private void forRows(Matrix m, Execution.Range body) {
    int step = Math.max(1, GRAIN / Math.max(1, m.columns()));
    execution.forRanges(m.rows(), step, body);
  }
}
