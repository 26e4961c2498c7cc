package dev.gptq.bench;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Products with weights of 4 bits: decoding (one token) and prefill (many). */
public class PackedMatmulBenchmark extends BackendBenchmark {
  private static final int GROUP = 128;

  /** Outputs × inputs of a 7 thousand million model's attention and up projection. */
  @Param({"4096x4096", "11008x4096"})
  public String shape;

  /** With and without zero points. */
  @Param({"SYMMETRIC", "ASYMMETRIC"})
  public Scheme scheme;

  /** 1: decoding; 512: a prompt. */
  @Param({"1", "512"})
  public int tokens;

  /** How the CPU backend takes activations: float32, int8 or auto. */
  @Param("float32")
  public String activations;

  /** Whose kernels the CPU backend runs: java or native. */
  @Param("java")
  public String kernels;

  /** Weights to go round, in MiB: more than any cache, so that decoding reads memory. */
  @Param("256")
  public int footprint;

  private final List<PackedWeights> weights = new ArrayList<>();
  private Tensor x;
  private Tensor y;
  private int next;

  @Override
  ImmutableMap<String, String> settings() {
    return backend.equals("simd")
        ? ImmutableMap.of("simd.activations", activations, "simd.kernels", kernels)
        : ImmutableMap.of();
  }

  @Override
  void prepare() {
    int rows = Integer.parseInt(shape.substring(0, shape.indexOf('x')));
    int columns = Integer.parseInt(shape.substring(shape.indexOf('x') + 1));
    PackedMatrix matrix = matrix(scheme, rows, columns);
    long copies = Math.max(1, ((long) footprint << 20) / matrix.words().byteSize());
    for (int i = 0; i < copies; i++) {
      weights.add(backend().packed().prepare(matrix, scope()));
    }
    DType type = backend().activationType();
    x = Data.normal(scope(), type, tokens, columns, Layout.ROW_MAJOR, 1);
    y = Data.normal(scope(), type, tokens, rows, Layout.ROW_MAJOR, 2);
  }

  /** Random codes, scales and, where the scheme has them, zero points. */
  static PackedMatrix matrix(Scheme scheme, int rows, int columns) {
    Arena arena = Arena.ofAuto();
    Random random = new Random(3);
    byte[] codes = new byte[rows * columns];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(16);
    }
    int groups = columns / GROUP;
    MemorySegment scales = arena.allocate(ValueLayout.JAVA_FLOAT, (long) groups * rows);
    MemorySegment zeros = arena.allocate(ValueLayout.JAVA_FLOAT, (long) groups * rows);
    for (long i = 0; i < (long) groups * rows; i++) {
      scales.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.01f + 0.01f * random.nextFloat());
      zeros.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextInt(16));
    }
    int[] groupOf = IntStream.range(0, columns).map(i -> i / GROUP).toArray();
    Optional<MemorySegment> own = scheme.hasZeroPoint() ? Optional.of(zeros) : Optional.empty();
    return Packer.pack(scheme, 4, rows, groupOf, codes, scales, own);
  }

  /** One product. */
  @Benchmark
  public void matmul(Work work) {
    PackedWeights used = weights.get(next);
    run();
    work.gflops += 2e-9 * tokens * used.rows() * used.columns();
    work.gbytes += 1e-9 * used.byteSize();
  }

  @Override
  void run() {
    backend().packed().matmul(x, weights.get(next), y);
    backend().synchronize();
    next = (next + 1) % weights.size();
  }

  @Override
  float[] result() {
    Tensor f32 = scope().rowMajor(DType.F32, y.rows(), y.columns());
    backend().linalg().convert(y, f32);
    return HostCopies.floats(f32);
  }
}
