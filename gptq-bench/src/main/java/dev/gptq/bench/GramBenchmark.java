package dev.gptq.bench;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** {@code H ← H + XᵀX} from as many tokens as a calibration batch holds. */
public class GramBenchmark extends BackendBenchmark {
  /** Inputs of attention and of the down projection: 2048 and 4096. */
  @Param({"2048", "4096"})
  public int n;

  /** One window of the usual calibration length. */
  @Param("2048")
  public int tokens;

  private Tensor x;
  private Tensor h;

  @Override
  void prepare() {
    x = Data.normal(scope(), backend().activationType(), tokens, n, Layout.ROW_MAJOR, 1);
    h = scope().zeros(DType.F32, n, n, Layout.ROW_MAJOR);
  }

  /** One batch; counted as the n·(n+1) products and sums of the triangle that are needed. */
  @Benchmark
  public void gram(Work work) {
    run();
    work.gflops += 1e-9 * tokens * n * (n + 1);
  }

  @Override
  void run() {
    backend().linalg().accumulateGram(1, x, h);
    backend().synchronize();
  }

  @Override
  float[] result() {
    backend().linalg().symmetrize(h);
    return HostCopies.floats(h);
  }
}
