package dev.gptq.bench;

import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** {@code C ← A·B}, square, rows contiguous. */
public class GemmBenchmark extends BackendBenchmark {
  /** 2048 and 4096: hidden sizes of models of 1 and 7 thousand million parameters. */
  @Param({"2048", "4096"})
  public int n;

  private Tensor a;
  private Tensor b;
  private Tensor c;

  @Override
  void prepare() {
    a = Data.normal(scope(), n, n, Layout.ROW_MAJOR, 1);
    b = Data.normal(scope(), n, n, Layout.ROW_MAJOR, 2);
    c = Data.normal(scope(), n, n, Layout.ROW_MAJOR, 3);
  }

  /** One product. */
  @Benchmark
  public void gemm(Work work) {
    run();
    work.gflops += 2e-9 * n * n * n;
  }

  @Override
  void run() {
    backend().linalg().gemm(1, a, b, 0, c);
    backend().synchronize();
  }

  @Override
  float[] result() {
    return HostCopies.floats(c);
  }
}
