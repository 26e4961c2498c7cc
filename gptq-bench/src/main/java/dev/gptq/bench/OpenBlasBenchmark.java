package dev.gptq.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The peer of {@link GemmBenchmark}, {@link GramBenchmark} and {@link CholeskyBenchmark}. A fork of
 * its own keeps the threads of OpenBLAS away from ours. Set OPENBLAS_NUM_THREADS and
 * OPENBLAS_CORETYPE; each fork prints what was used.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class OpenBlasBenchmark {
  /** As in the benchmarks of the backends. */
  @Param({"2048", "4096"})
  public int n;

  private final OpenBlas blas = new OpenBlas();
  private Arena arena;
  private MemorySegment a;
  private MemorySegment b;
  private MemorySegment c;
  private MemorySegment h;

  /** Prints the peer's configuration and makes the operands. */
  @Setup(Level.Trial)
  public void open() {
    System.out.println("# " + blas.description());
    arena = Arena.ofConfined();
    long count = (long) n * n;
    a = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    b = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    c = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    h = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    Random random = new Random(1);
    for (long i = 0; i < count; i++) {
      a.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
      b.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    blas.gram(n, n, a, h);
    for (int i = 0; i < n; i++) {
      long diagonal = (long) i * n + i;
      h.setAtIndex(
          ValueLayout.JAVA_FLOAT, diagonal, h.getAtIndex(ValueLayout.JAVA_FLOAT, diagonal) + n);
      for (int j = 0; j < i; j++) {
        float value = h.getAtIndex(ValueLayout.JAVA_FLOAT, (long) i * n + j);
        h.setAtIndex(ValueLayout.JAVA_FLOAT, (long) j * n + i, value);
      }
    }
  }

  /** Frees the operands. */
  @TearDown(Level.Trial)
  public void close() {
    arena.close();
  }

  /** One product. */
  @Benchmark
  public void gemm(Work work) {
    blas.gemm(n, a, b, c);
    work.gflops += 2e-9 * n * n * n;
  }

  /** One Gram matrix of n tokens. */
  @Benchmark
  public void gram(Work work) {
    blas.gram(n, n, a, c);
    work.gflops += 1e-9 * n * n * (n + 1);
  }

  /** potrf, with the copy that restores the matrix: a third of n³. */
  @Benchmark
  public void cholesky(Work work) {
    MemorySegment.copy(h, 0, c, 0, h.byteSize());
    blas.factor(n, c);
    work.gflops += 1e-9 / 3 * n * n * n;
  }
}
