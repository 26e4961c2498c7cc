package dev.gptq.bench;

import dev.gptq.backend.AttentionSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Causal attention of one window. */
public class AttentionBenchmark extends BackendBenchmark {
  /** The usual calibration window. */
  @Param("2048")
  public int tokens;

  /** Heads of a model of 1 thousand million parameters. */
  @Param("16")
  public int heads;

  /** The usual head size. */
  @Param("128")
  public int headSize;

  private Tensor q;
  private Tensor k;
  private Tensor v;
  private Tensor y;

  @Override
  void prepare() {
    q = operand(1);
    k = operand(2);
    v = operand(3);
    y = operand(4);
  }

  private Tensor operand(long seed) {
    DType type = backend().activationType();
    return Data.normal(scope(), type, tokens, heads * headSize, Layout.ROW_MAJOR, seed);
  }

  /** One window; counted are the products below the diagonal only. */
  @Benchmark
  public void attention(Work work) {
    run();
    work.gflops += 2e-9 * tokens * (tokens + 1) * heads * headSize;
  }

  @Override
  void run() {
    float scale = (float) (1 / Math.sqrt(headSize));
    AttentionSpec spec = new AttentionSpec(heads, heads, headSize, scale, 0, 0, false);
    backend().transformer().attention(q, k, v, spec, 1, y);
    backend().synchronize();
  }

  @Override
  float[] result() {
    Tensor f32 = scope().rowMajor(DType.F32, y.rows(), y.columns());
    backend().linalg().convert(y, f32);
    return HostCopies.floats(f32);
  }
}
