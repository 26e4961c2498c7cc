package dev.gptq.bench;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** The factor V of a damped Gram matrix, {@code V·Vᵀ = H}. */
public class CholeskyBenchmark extends BackendBenchmark {
  /** Inputs of attention layers of models of 1 and 7 thousand million parameters. */
  @Param({"2048", "4096"})
  public int n;

  private Tensor h;
  private Tensor factor;

  @Override
  void prepare() {
    h = gram(this, n);
    factor = scope().rowMajor(DType.F32, n, n);
  }

  /** {@code XᵀX/n + ½·I} of n random tokens. */
  static Tensor gram(BackendBenchmark benchmark, int n) {
    Tensor x = Data.normal(benchmark.scope(), n, n, Layout.ROW_MAJOR, 1);
    Tensor h = benchmark.scope().zeros(DType.F32, n, n, Layout.ROW_MAJOR);
    benchmark.backend().linalg().accumulateGram(1f / n, x, h);
    float[] damping = new float[n];
    Arrays.fill(damping, 0.5f);
    benchmark.backend().linalg().addToDiagonal(benchmark.scope().upload(damping), h);
    return h;
  }

  /** One factor, with the copy that restores the matrix: a third of n³. */
  @Benchmark
  public void cholesky(Work work) {
    run();
    work.gflops += 1e-9 / 3 * n * n * n;
  }

  @Override
  void run() {
    backend().linalg().convert(h, factor);
    backend().linalg().cholesky(factor);
    backend().synchronize();
  }

  @Override
  float[] result() {
    float[] lower = HostCopies.floats(factor);
    for (int i = 0; i < n; i++) {
      Arrays.fill(lower, i * n + i + 1, (i + 1) * n, 0);
    }
    return lower;
  }
}
