package dev.gptq.nativekernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.simd.kernels.RoundedWeights;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;

/** The kernels of each level that runs here, to the bit. */
final class NativeKernelsTest {
  private final Random random = new Random(11);

  /** Tiles of every width, the last one padded, and numbers of tokens around the tile's. */
  @Test
  void everyLevelComputesTheFormula() {
    library();
    check(KernelLibrary.found());
  }

  /** Also those whose instructions this processor lacks, with these written out in C. */
  @Test
  @EnabledOnOs(architectures = "amd64")
  void everyEmulatedLevelComputesTheFormula() {
    library();
    KernelLibrary.Found emulated = KernelLibrary.load("emulated/" + KernelLibrary.resource());
    assertThat(emulated.library().orElseThrow().levels()).hasSize(3);
    check(emulated);
  }

  private void check(KernelLibrary.Found library) {
    for (int level : library.library().orElseThrow().levels()) {
      for (int width : new int[] {16, 32, 64}) {
        for (int bits = 2; bits <= 8; bits++) {
          for (int tokens = 1; tokens <= 9; tokens += 32 % bits == 0 ? 1 : 4) {
            // Each kind of zero points meets each number of tokens with one of the widths of codes.
            int zeros = (tokens + bits / 2) % 3;
            int outputs = 2 * width + tokens;
            check(new NativeKernels(library, level), bits, width, outputs, zeros, tokens);
          }
        }
      }
    }
  }

  private void check(
      NativeKernels kernels, int bits, int width, int outputs, int zeros, int tokens) {
    int middle = 1 << (bits - 1);
    int[] groupOfChunk = {0, 0, 1, 2, 2};
    int tiles = (outputs + width - 1) / width;
    try (Arena arena = Arena.ofConfined()) {
      RoundedWeights w =
          new RoundedWeights(
              bits,
              ints(arena, tiles * bits * groupOfChunk.length * width),
              floats(arena, tiles * 3 * width),
              zeros == 2 ? Optional.of(floats(arena, tiles * 3 * width)) : Optional.empty(),
              zeros == 1 ? middle - 0.5f : middle,
              arena.allocateFrom(ValueLayout.JAVA_INT, groupOfChunk),
              outputs,
              width,
              groupOfChunk.length,
              3);
      int columns = 32 * groupOfChunk.length;
      MemorySegment x = floats(arena, tokens * columns);
      MemorySegment rows = arena.allocate(kernels.bytes(w, tokens));
      for (int t = 0; t < tokens; t++) {
        kernels.round(w, x.asSlice(4L * t * columns), t, tokens, rows);
      }
      // Rows further apart than the outputs, and nothing written between them.
      int stride = outputs + 3;
      MemorySegment y = floats(arena, tokens * stride);
      MemorySegment expected = arena.allocate(y.byteSize()).copyFrom(y);
      for (int t = 0; t < tokens; t++) {
        for (int o = 0; o < outputs; o++) {
          float value = PlainProduct.of(w, x.asSlice(4L * t * columns), o);
          expected.setAtIndex(ValueLayout.JAVA_FLOAT, (long) t * stride + o, value);
        }
      }
      kernels.multiply(w, 0, 1, rows, tokens, y, stride);
      kernels.multiply(w, 1, tiles, rows, tokens, y, stride);
      assertThat(y.toArray(ValueLayout.JAVA_INT))
          .as("%s, %d bits, %d wide, zeros %d", kernels.instructions(), bits, width, zeros)
          .isEqualTo(expected.toArray(ValueLayout.JAVA_INT));
    }
  }

  /** Few tokens have the bits of the kernels in Java. */
  @Test
  void theBitsAreThoseOfJava() {
    library();
    PackedMatrix w = matrix();
    float[] x = normal(7 * 256);
    assertThat(product("native", 2, w, x)).isEqualTo(product("java", 2, w, x));
  }

  /** Workers share the rows, and the last task has a few that are left. */
  @Test
  void manyTokensHaveTheSameBitsInParts() {
    library();
    PackedMatrix w = matrix();
    float[] x = normal(117 * 256);
    assertThat(product("native", 3, w, x)).isEqualTo(product("native", 1, w, x));
  }

  private PackedMatrix matrix() {
    byte[] codes = new byte[70 * 256];
    random.nextBytes(codes);
    for (int i = 0; i < codes.length; i++) {
      codes[i] &= 15;
    }
    float[] scales = new float[2 * 70];
    float[] zeros = new float[2 * 70];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = random.nextFloat();
      zeros[i] = 15 * random.nextFloat();
    }
    return Packer.pack(
        Scheme.ASYMMETRIC,
        4,
        70,
        IntStream.range(0, 256).map(i -> i / 128).toArray(),
        codes,
        MemorySegment.ofArray(scales),
        Optional.of(MemorySegment.ofArray(zeros)));
  }

  @Test
  void aJarWithoutTheLibrarySaysSo() {
    assertThat(KernelLibrary.load("plan9-mips/libgptq-native.so").refusal().orElseThrow().reason())
        .contains("no plan9-mips/libgptq-native.so");
  }

  @Test
  void memoryThatIsTooShortIsRefused() {
    NativeKernels kernels = new NativeKernels(KernelLibrary.found(), library().levels().getLast());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment some = arena.allocate(1024);
      RoundedWeights w = new RoundedWeights(4, some, some, Optional.empty(), 8, some, 16, 16, 1, 1);
      kernels.round(w, some, 0, 1, some);
      assertThatThrownBy(() -> kernels.round(w, some.asSlice(0, 127), 0, 1, some))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("128 bytes");
      assertThatThrownBy(() -> kernels.multiply(w, 0, 1, some, 1, some.asSlice(0, 60), 16))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("64 bytes");
    }
  }

  private static KernelLibrary library() {
    KernelLibrary.Found found = KernelLibrary.found();
    found.refusal().ifPresent(why -> Assumptions.abort(why.reason()));
    return found.library().orElseThrow();
  }

  private static float[] product(String kernels, int threads, PackedMatrix w, float[] x) {
    BackendOptions options =
        new BackendOptions(
            threads, 0, ImmutableMap.of("simd.activations", "int8", "simd.kernels", kernels));
    int tokens = x.length / w.columns();
    try (Backend backend = new SimdBackendProvider().open(options);
        TensorScope scope = backend.newScope()) {
      assertThat(backend.info().features().get("kernels")).startsWith(kernels);
      Tensor rows =
          scope.upload(MemorySegment.ofArray(x), DType.F32, tokens, w.columns(), Layout.ROW_MAJOR);
      Tensor y = scope.rowMajor(DType.F32, tokens, w.rows());
      backend.packed().matmul(rows, backend.packed().prepare(w, scope), y);
      return HostCopies.floats(y);
    }
  }

  private MemorySegment ints(Arena arena, int count) {
    return arena.allocateFrom(ValueLayout.JAVA_INT, random.ints(count).toArray());
  }

  private MemorySegment floats(Arena arena, int count) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, normal(count));
  }

  private float[] normal(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
