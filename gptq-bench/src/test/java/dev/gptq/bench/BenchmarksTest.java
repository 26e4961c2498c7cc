package dev.gptq.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.Scheme;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** Runs the body of every benchmark once and compares the results of the backends. */
final class BenchmarksTest {
  @Test
  void gemm() {
    agree(() -> {
      GemmBenchmark benchmark = new GemmBenchmark();
      benchmark.n = 70;
      return benchmark;
    });
  }

  @Test
  void gram() {
    agree(() -> {
      GramBenchmark benchmark = new GramBenchmark();
      benchmark.n = 70;
      benchmark.tokens = 30;
      return benchmark;
    });
  }

  @Test
  void cholesky() {
    agree(() -> {
      CholeskyBenchmark benchmark = new CholeskyBenchmark();
      benchmark.n = 130;
      return benchmark;
    });
  }

  @Test
  void columnLoop() {
    agree(() -> {
      ColumnLoopBenchmark benchmark = new ColumnLoopBenchmark();
      benchmark.rows = 37;
      benchmark.columns = 16;
      return benchmark;
    });
  }

  @Test
  void gridSearch() {
    for (GridSearch search : new GridSearch[] {GridSearch.MIN_MAX, GridSearch.MSE}) {
      agree(() -> {
        GridSearchBenchmark benchmark = new GridSearchBenchmark();
        benchmark.rows = 21;
        benchmark.columns = 32;
        benchmark.search = search;
        return benchmark;
      });
    }
  }

  @Test
  void packedMatmul() {
    for (Scheme scheme : new Scheme[] {Scheme.SYMMETRIC, Scheme.ASYMMETRIC}) {
      for (int tokens : new int[] {1, 9}) {
        agree(() -> {
          PackedMatmulBenchmark benchmark = new PackedMatmulBenchmark();
          benchmark.kernels = "java";
          benchmark.shape = "40x256";
          benchmark.scheme = scheme;
          benchmark.tokens = tokens;
          benchmark.activations = "float32";
          benchmark.footprint = 0;
          return benchmark;
        });
      }
    }
  }

  @Test
  void attention() {
    agree(() -> {
      AttentionBenchmark benchmark = new AttentionBenchmark();
      benchmark.tokens = 70;
      benchmark.heads = 2;
      benchmark.headSize = 16;
      return benchmark;
    });
  }

  private static void agree(Supplier<BackendBenchmark> benchmark) {
    float[] expected = once(benchmark.get(), "reference");
    float[] actual = once(benchmark.get(), "simd");
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      double limit = 1e-4 * Math.max(1, Math.abs(expected[i]));
      assertThat((double) actual[i]).as("element %d", i).isCloseTo(expected[i], within(limit));
    }
  }

  private static float[] once(BackendBenchmark benchmark, String backend) {
    benchmark.backend = backend;
    benchmark.threads = 2;
    benchmark.open();
    try {
      benchmark.run();
      return benchmark.result();
    } finally {
      benchmark.close();
    }
  }
}
