package dev.gptq.bench;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** The fused inner loop of GPTQ on one block of columns. */
public class ColumnLoopBenchmark extends BackendBenchmark {
  /** Outputs of the attention and feed-forward layers of a model of 7 thousand million. */
  @Param({"4096", "11008"})
  public int rows;

  /** The usual block and group size. */
  @Param("128")
  public int columns;

  private Tensor weights;
  private Tensor w;
  private Tensor u;
  private Grid grid;
  private Tensor codes;

  @Override
  void prepare() {
    weights = Data.normal(scope(), rows, columns, Layout.COLUMN_MAJOR, 4);
    w = scope().columnMajor(DType.F32, rows, columns);
    u = scope().rowMajor(DType.F32, columns, columns);
    Tensor factor = CholeskyBenchmark.gram(this, columns);
    backend().linalg().cholesky(factor);
    backend().linalg().invertDiagonalBlocks(factor.transposed(), u);
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    Tensor scale = scope().columnMajor(DType.F32, rows, 1);
    Tensor zero = scope().columnMajor(DType.F32, rows, 1);
    backend().quantization().fitGrid(weights, spec, scale, zero);
    grid = new Grid(spec, scale, zero, scope().zeros(DType.I32, 1, columns, Layout.ROW_MAJOR));
    codes = scope().columnMajor(DType.U8, rows, columns);
  }

  /** One block, with the copy that restores its weights. */
  @Benchmark
  public void quantizeBlock(Work work) {
    run();
    work.gflops += 1e-9 * rows * columns * (columns - 1);
  }

  @Override
  void run() {
    backend().linalg().convert(weights, w);
    backend().quantization().quantizeBlock(w, u, grid, codes);
    backend().synchronize();
  }

  @Override
  float[] result() {
    return HostCopies.floats(w);
  }
}
