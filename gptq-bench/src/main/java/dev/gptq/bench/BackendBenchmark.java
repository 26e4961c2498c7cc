package dev.gptq.bench;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.tensor.TensorScope;
import java.util.concurrent.TimeUnit;
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
 * A benchmark of one operation on one backend. The backend is opened by its name, so that one that
 * cannot run fails the run instead of giving another's numbers, and each fork prints which one ran.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 3,
    jvmArgsAppend = {
      "--add-modules",
      "jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-XX:+UseParallelGC"
    })
public abstract class BackendBenchmark {
  /** Name of the backend. */
  @Param({"reference", "simd", "cuda"})
  public String backend;

  /** Worker threads of a CPU backend; 0 for all processors. */
  @Param("0")
  public int threads;

  private Backend opened;
  private TensorScope scope;

  /** For subclasses. */
  protected BackendBenchmark() {}

  /** Opens the backend and makes the operands. */
  @Setup(Level.Trial)
  public final void open() {
    BackendOptions options =
        new BackendOptions(
            threads == 0 ? BackendOptions.defaults().threads() : threads, 0, settings());
    opened = Backends.open(backend, options, refused -> {});
    System.out.println("# " + opened.info());
    scope = opened.newScope();
    prepare();
  }

  /** Gives the backend back. */
  @TearDown(Level.Trial)
  public final void close() {
    opened.close();
  }

  /** Settings of the backend. */
  ImmutableMap<String, String> settings() {
    return ImmutableMap.of();
  }

  /** Makes the operands. */
  abstract void prepare();

  /** Runs the operation once and waits for it. */
  abstract void run();

  /** The result of the last run, to compare backends by. */
  abstract float[] result();

  final Backend backend() {
    return opened;
  }

  final TensorScope scope() {
    return scope;
  }
}
