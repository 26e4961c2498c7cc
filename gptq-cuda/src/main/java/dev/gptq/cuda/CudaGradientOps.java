package dev.gptq.cuda;

import dev.gptq.backend.Activation;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.ScoreRows;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** The backward pass, a kernel an operation. */
final class CudaGradientOps implements GradientOps {
  /** SAMPLE_THREADS of gradient.cu. */
  private static final int SAMPLE_THREADS = 256;

  /** The most columns of attentionGradientShort, and rows of a block. */
  private static final int SHORT_COLUMNS = 512;

  private static final int SHORT_ROWS = 4;

  /** The most columns of attentionGradientMiddle, and warps that take a row. */
  private static final int MIDDLE_COLUMNS = 2048;

  private static final int MIDDLE_WARPS = 4;
  private static final int WARP = 32;

  private final CudaContext context;
  private final Kernels kernels;
  private final String suffix;

  CudaGradientOps(CudaContext context, DType activationType) {
    this.context = context;
    this.kernels = context.kernels();
    this.suffix = activationType == DType.BF16 ? "_bf16" : "_f32";
  }

  @Override
  public void rmsNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    int n = gain.columns();
    norm("rmsNormGradient", x, gain, epsilon, dy, dx, n);
  }

  @Override
  public void layerNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    norm("layerNormGradient", x, gain, epsilon, dy, dx, x.columns());
  }

  private void norm(
      String operation, Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx, int run) {
    CudaTensor t = context.tensor(x);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(gain))
        .add(epsilon)
        .add(context.tensor(dy))
        .add(context.tensor(dx));
    if (!t.isEmpty()) {
      launch(
          operation,
          Geometry.of(t.rows(), t.columns() / run, CudaTransformerOps.reducingThreads(run)));
    }
  }

  @Override
  public void activateGradient(Activation f, Tensor x, Tensor dy, Tensor dx) {
    CudaTensor t = context.tensor(dx);
    kernels
        .arguments()
        .add(KernelCodes.of(f))
        .add(context.tensor(x))
        .add(context.tensor(dy))
        .add(t);
    if (!t.isEmpty()) {
      launch("activateGradient", Elementwise.over(t));
    }
  }

  @Override
  public void attentionGradient(
      Tensor scores, Tensor dWeights, int queries, ScoreRows rows, Tensor weights, Tensor dScores) {
    CudaTensor t = context.tensor(scores);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(dWeights))
        .add(queries)
        .add(rows)
        .add(context.tensor(weights))
        .add(context.tensor(dScores));
    if (t.isEmpty()) {
      return;
    }
    if (t.columns() > MIDDLE_COLUMNS) {
      byRow("attentionGradient", t);
    } else if (t.columns() > SHORT_COLUMNS) {
      launch("attentionGradientMiddle", Geometry.of(t.rows(), MIDDLE_WARPS * WARP));
    } else {
      launch(
          "attentionGradientShort",
          Geometry.of(Math.ceilDiv(t.rows(), SHORT_ROWS), WARP).withBlockY(SHORT_ROWS));
    }
  }

  @Override
  public void crossEntropyGradient(Tensor logits, Tensor targets, Tensor dLogits) {
    CudaTensor t = context.tensor(logits);
    kernels.arguments().add(t).add(context.tensor(targets)).add(context.tensor(dLogits));
    byRow("crossEntropyGradient", t);
  }

  @Override
  public void divergenceGradient(Tensor logits, Tensor base, Tensor divergence, Tensor dLogits) {
    CudaTensor t = context.tensor(logits);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(base))
        .add(context.tensor(divergence))
        .add(context.tensor(dLogits));
    byRow("divergenceGradient", t);
  }

  @Override
  public void sample(Tensor logits, Tensor uniform, Tensor targets) {
    CudaTensor t = context.tensor(logits);
    kernels.arguments().add(t).add(context.tensor(uniform)).add(context.tensor(targets));
    if (!t.isEmpty()) {
      kernels.launch(
          KernelImages.TOLERANT, "sampleToken", Geometry.of(t.rows(), SAMPLE_THREADS), "sample");
    }
  }

  @Override
  public void addRowSquares(Tensor x, Tensor sums) {
    CudaTensor t = context.tensor(x);
    kernels.arguments().add(t).add(context.tensor(sums));
    byRow("addRowSquares", t);
  }

  private void byRow(String operation, CudaTensor t) {
    if (!t.isEmpty()) {
      launch(operation, Geometry.of(t.rows(), CudaTransformerOps.reducingThreads(t.columns())));
    }
  }

  private void launch(String operation, Geometry geometry) {
    kernels.launch(KernelImages.TOLERANT, operation + suffix, geometry, operation);
  }
}
