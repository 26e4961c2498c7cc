package dev.gptq.bench;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Fitting the grids of one group of columns. */
public class GridSearchBenchmark extends BackendBenchmark {
  /** Outputs of an attention layer of a model of 7 thousand million parameters. */
  @Param("4096")
  public int rows;

  /** The usual group size. */
  @Param("128")
  public int columns;

  /** How scales follow from the weights. */
  @Param({"MIN_MAX", "MSE"})
  public GridSearch search;

  private Tensor w;
  private Tensor grid;

  @Override
  void prepare() {
    w = Data.normal(scope(), rows, columns, Layout.COLUMN_MAJOR, 4);
    grid = scope().columnMajor(DType.F32, rows, 2);
  }

  /** One group. */
  @Benchmark
  public void fitGrid() {
    run();
  }

  @Override
  void run() {
    GridSpec spec = GridSpec.of(Scheme.ASYMMETRIC, 4).withSearch(search);
    backend().quantization().fitGrid(w, spec, grid.columns(0, 1), grid.columns(1, 2));
    backend().synchronize();
  }

  @Override
  float[] result() {
    return HostCopies.floats(grid);
  }
}
