package dev.gptq.nativekernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Activation;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.RopePairs;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.simd.kernels.ForwardKernels;
import dev.gptq.simd.kernels.ForwardKernels.Gate;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;

/** The forward pass: that all levels have the same bits, and which are those of Java. */
final class NativeForwardTest {
  private static final int ROWS = 70;
  private static final int COLUMNS = 150;

  /** Also levels whose instructions this processor lacks, with these written out in C. */
  @Test
  @EnabledOnOs(architectures = "amd64")
  void allLevelsHaveTheSameBits() {
    float[] expected = all(new NativeForward(library(), library().levels().getFirst()));
    KernelLibrary emulated =
        KernelLibrary.load("emulated/" + KernelLibrary.resource()).library().orElseThrow();
    for (KernelLibrary library : new KernelLibrary[] {library(), emulated}) {
      for (int level : library.levels()) {
        assertThat(all(new NativeForward(library, level)))
            .as(library.name(level))
            .isEqualTo(expected);
      }
    }
  }

  /** What every operation makes of the same random numbers, one after the other. */
  private static float[] all(ForwardKernels kernels) {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(7);
      // Heads of 75 channels and rows of 150: no vector's multiple.
      Rows a = floats(arena, random, ROWS, COLUMNS);
      Rows b = floats(arena, random, ROWS, COLUMNS);
      Rows c = floats(arena, random, ROWS, COLUMNS);
      Rows y = floats(arena, random, 6 * ROWS + COLUMNS, COLUMNS);
      Shape shape = new Shape(ROWS, COLUMNS);
      kernels.transpose(a, part(y, 6), shape);
      kernels.rmsNorm(a, b, 75, 1e-5f, y, shape);
      kernels.gate(Gate.SILU, a, b, part(y, 1), shape);
      kernels.gate(Gate.GELU_TANH, a, b, part(y, 2), shape);
      kernels.add(a, part(y, 3), shape);
      kernels.rotate(part(y, 3), 75, false, b, c, 35, 3, 40, shape);
      kernels.rotate(part(y, 3), 75, true, b, c, 37, 0, 70, shape);
      kernels.products(0.5f, a, b, COLUMNS, part(y, 4), new Shape(3, 67));
      kernels.narrow(a, at(y, 4 * ROWS + 10), shape);
      Shape queries = new Shape(6, 75);
      kernels.attention(DType.F32, 1, a, b, c, 0.3f, 64, 1, 0, part(y, 5), queries);
      kernels.attention(DType.F32, 1, a, b, c, 0.3f, 60, 1, 50, at(y, 5 * ROWS + 6), queries);
      kernels.attention(DType.F32, 1, a, b, c, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 12), queries);
      kernels.attention(DType.F32, 2, a, b, c, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 18), queries);
      Rows k = bfloat16(arena, b);
      Rows v = bfloat16(arena, c);
      kernels.attention(DType.BF16, 1, a, k, v, 0.3f, 64, 1, 0, at(y, 5 * ROWS + 24), queries);
      kernels.attention(DType.BF16, 1, a, k, v, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 30), queries);
      Shape few = new Shape(3, 68);
      kernels.attention(DType.BF16, 2, a, k, v, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 36), few);
      kernels.attention(
          DType.BF16, 2, a, k, v, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 42), new Shape(3, 72));
      kernels.attention(DType.F32, 2, a, b, c, 0.3f, 69, 0, 0, at(y, 5 * ROWS + 48), few);
      return y.segment().toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  /** Keys and values in bfloat16 are read as the float32 that they stand for, at every level. */
  @Test
  void narrowKeysAndValuesAreThoseOfTheirFloat32() {
    for (int level : library().levels()) {
      ForwardKernels kernels = new NativeForward(library(), level);
      for (int columns : new int[] {COLUMNS, COLUMNS + 1}) {
        narrowKeysAndValuesAreThoseOfTheirFloat32(kernels, library().name(level), columns);
      }
    }
  }

  private static void narrowKeysAndValuesAreThoseOfTheirFloat32(
      ForwardKernels kernels, String level, int columns) {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(9);
      Rows q = floats(arena, random, ROWS, COLUMNS);
      Rows k = bfloat16(arena, floats(arena, random, 2 * ROWS, columns));
      Rows v = bfloat16(arena, floats(arena, random, 2 * ROWS, columns));
      Rows wideK = widened(arena, k);
      Rows wideV = widened(arena, v);
      Rows narrow = floats(arena, new Random(1), ROWS, COLUMNS);
      Rows wide = floats(arena, new Random(1), ROWS, COLUMNS);
      for (int size : new int[] {3, 16, 20, 64, 75}) {
        for (int rows : new int[] {1, 2, 3, 4, 9}) {
          for (int step : new int[] {0, 1}) {
            Shape shape = new Shape(rows, size);
            kernels.attention(DType.BF16, 2, q, k, v, 0.3f, 130, step, 0, narrow, shape);
            kernels.attention(DType.F32, 2, q, wideK, wideV, 0.3f, 130, step, 0, wide, shape);
            assertThat(narrow.segment().toArray(ValueLayout.JAVA_FLOAT))
                .as("%s, rows of %s, %s, step %s", level, columns, shape, step)
                .isEqualTo(wide.segment().toArray(ValueLayout.JAVA_FLOAT));
          }
        }
      }
    }
  }

  private static Rows bfloat16(Arena arena, Rows floats) {
    int count = (int) (floats.segment().byteSize() / Float.BYTES);
    short[] upper = new short[count];
    for (int i = 0; i < count; i++) {
      upper[i] = (short) (floats.segment().getAtIndex(ValueLayout.JAVA_INT, i) >>> 16);
    }
    return new Rows(arena.allocateFrom(ValueLayout.JAVA_SHORT, upper), floats.stride());
  }

  private static Rows widened(Arena arena, Rows narrow) {
    int count = (int) (narrow.segment().byteSize() / Short.BYTES);
    int[] bits = new int[count];
    for (int i = 0; i < count; i++) {
      bits[i] = narrow.segment().getAtIndex(ValueLayout.JAVA_SHORT, i) << 16;
    }
    return new Rows(arena.allocateFrom(ValueLayout.JAVA_INT, bits), narrow.stride());
  }

  /** A result depends neither on the other queries of a call nor on the heads beside its own. */
  @Test
  void queriesAndHeadsOfACallDoNotMeet() {
    ForwardKernels kernels = new NativeForward(library(), library().levels().getLast());
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(8);
      Rows q = floats(arena, random, 15, 20);
      Rows k = floats(arena, random, ROWS, 60);
      Rows v = floats(arena, random, ROWS, 60);
      Rows together = floats(arena, random, 15, 20);
      Rows alone = floats(arena, random, 15, 20);
      kernels.attention(DType.F32, 3, q, k, v, 0.3f, 65, 1, 0, together, new Shape(5, 20));
      for (int i = 0; i < 15; i++) {
        int column = i / 5 * 20;
        Rows key = new Rows(k.segment().asSlice(4L * column), 60);
        Rows value = new Rows(v.segment().asSlice(4L * column), 60);
        kernels.attention(
            DType.F32,
            1,
            at(q, i),
            key,
            value,
            0.3f,
            65 + i % 5,
            0,
            0,
            at(alone, i),
            new Shape(1, 20));
      }
      assertThat(together.segment().toArray(ValueLayout.JAVA_FLOAT))
          .isEqualTo(alone.segment().toArray(ValueLayout.JAVA_FLOAT));
    }
  }

  /** Ties, the largest numbers, infinities and NaNs whose upper half alone would be an infinity. */
  @Test
  void narrowNumbersAreThoseOfJava() {
    library();
    int[] special = {
      0x3f808000, 0x3f818000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xff80ffff, 0x80000001
    };
    for (int columns : new int[] {1, 16, 33}) {
      agree(
          columns,
          (backend, x) -> {
            try (TensorScope local = backend.newScope()) {
              Tensor numbers =
                  local.upload(
                      MemorySegment.ofArray(
                          IntStream.range(0, 39 * columns)
                              .map(i -> special[i % special.length] + i / special.length)
                              .toArray()),
                      DType.F32,
                      39,
                      columns,
                      Layout.ROW_MAJOR);
              Tensor narrow = local.rowMajor(DType.BF16, 40, columns);
              backend.linalg().convert(numbers, narrow.rows(0, 39));
              backend.linalg().convert(x.rows(39, 40), narrow.rows(39, 40));
              backend.linalg().convert(narrow, x);
            }
          });
    }
  }

  @Test
  void theBitsAreThoseOfJava() {
    library();
    for (int columns : new int[] {1, 15, 48, 150, 2100}) {
      agree(
          columns,
          (backend, x) ->
              backend.transformer().rmsNorm(x.rows(0, 3), x.rows(3, 4), 1e-5f, x.rows(0, 3)));
      for (Activation f : new Activation[] {Activation.SILU, Activation.GELU_TANH}) {
        agree(
            columns,
            (backend, x) ->
                backend.transformer().gate(f, x.rows(0, 3), x.rows(3, 6), x.rows(0, 3)));
      }
      agree(columns, (backend, x) -> backend.transformer().add(x.rows(0, 3), x.rows(3, 6)));
      int outputs = Math.min(7, columns);
      agree(
          columns,
          (backend, x) -> {
            Tensor w = x.rows(1, 1 + outputs).transposed();
            backend.linalg().gemm(0.5f, x.rows(0, 1), w, 0, x.rows(39, 40).columns(0, outputs));
          });
    }
    for (RopePairs pairs : RopePairs.values()) {
      agree(
          150,
          (backend, x) ->
              backend
                  .transformer()
                  .rope(
                      x.rows(0, 6),
                      75,
                      pairs,
                      x.rows(6, 20).columns(0, 35),
                      x.rows(20, 34).columns(0, 35),
                      2,
                      2));
    }
  }

  /** That an operation on random numbers does the same in C and in Java. */
  private static void agree(int columns, BiConsumer<Backend, Tensor> operation) {
    assertThat(result("native", columns, operation))
        .as("%s columns", columns)
        .isEqualTo(result("java", columns, operation));
  }

  private static float[] result(
      String kernels, int columns, BiConsumer<Backend, Tensor> operation) {
    BackendOptions options = new BackendOptions(2, 0, ImmutableMap.of("simd.kernels", kernels));
    Random random = new Random(5);
    float[] values = new float[40 * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    try (Backend backend = new SimdBackendProvider().open(options);
        TensorScope scope = backend.newScope()) {
      Tensor x =
          scope.upload(MemorySegment.ofArray(values), DType.F32, 40, columns, Layout.ROW_MAJOR);
      operation.accept(backend, x);
      return HostCopies.floats(x);
    }
  }

  @Test
  void whatIsTooShortOrTooWideIsRefused() {
    ForwardKernels kernels = new NativeForward(library(), library().levels().getLast());
    try (Arena arena = Arena.ofConfined()) {
      Rows some = new Rows(arena.allocate(4096), 32);
      Rows less = new Rows(some.segment().asSlice(0, 4092), 32);
      Shape shape = new Shape(32, 32);
      kernels.add(some, some, shape);
      assertThatThrownBy(() -> kernels.add(less, some, shape))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("4096 bytes");
      assertThatThrownBy(() ->
              kernels.attention(
                  DType.F32, 1, some, some, some, 1, 32, 0, 0, some, new Shape(1, 32)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("4224 bytes");
      Rows narrow = new Rows(some.segment(), 64);
      Shape one = new Shape(1, 32);
      kernels.attention(DType.BF16, 1, some, narrow, narrow, 1, 31, 0, 0, some, one);
      assertThatThrownBy(
              () -> kernels.attention(DType.BF16, 1, some, narrow, narrow, 1, 32, 0, 0, some, one))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("4160 bytes");
      assertThatThrownBy(
              () -> kernels.attention(DType.F16, 1, some, narrow, narrow, 1, 3, 0, 0, some, one))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("F16");
      assertThatThrownBy(() ->
              kernels.attention(
                  DType.F32, 1, some, some, some, 1, 0, 0, 0, some, new Shape(1, 257)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("too many");
    }
  }

  private static KernelLibrary library() {
    KernelLibrary.Found found = KernelLibrary.found();
    found.refusal().ifPresent(why -> Assumptions.abort(why.reason()));
    return found.library().orElseThrow();
  }

  private static Rows floats(Arena arena, Random random, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return new Rows(arena.allocateFrom(ValueLayout.JAVA_FLOAT, values), columns);
  }

  private static Rows part(Rows y, int index) {
    return at(y, index * ROWS);
  }

  private static Rows at(Rows y, int row) {
    return new Rows(y.segment().asSlice(4L * row * y.stride()), y.stride());
  }
}
