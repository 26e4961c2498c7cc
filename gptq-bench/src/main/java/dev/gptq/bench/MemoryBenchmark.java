package dev.gptq.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
 * The roofline of decoding: how fast memory can be read, by the dot product of OpenBLAS over two
 * vectors that no cache holds.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class MemoryBenchmark {
  /** MiB of each vector: together ten times a large cache. */
  @Param("512")
  public int size;

  private final OpenBlas blas = new OpenBlas();
  private Arena arena;
  private MemorySegment x;
  private MemorySegment y;
  private int count;

  /** Prints the configuration and touches every page. */
  @Setup(Level.Trial)
  public void open() {
    System.out.println("# " + blas.description());
    arena = Arena.ofConfined();
    count = size << 18;
    x = arena.allocate(ValueLayout.JAVA_FLOAT, count).fill((byte) 1);
    y = arena.allocate(ValueLayout.JAVA_FLOAT, count).fill((byte) 1);
  }

  /** Frees the vectors. */
  @TearDown(Level.Trial)
  public void close() {
    arena.close();
  }

  /** Reads both vectors once. */
  @Benchmark
  public float read(Work work) {
    work.gbytes += 8e-9 * count;
    return blas.dot(count, x, y);
  }
}
