package dev.gptq.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** That the peer computes what the backends compute; elsewhere than on x86-64 there is no peer. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class OpenBlasTest {
  private static final OpenBlas BLAS = new OpenBlas();

  @Test
  void multipliesRowMajorMatrices() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment c = floats(arena, 0, 0, 0, 0);
      BLAS.gemm(2, floats(arena, 1, 2, 3, 4), floats(arena, 5, 6, 7, 8), c);
      assertThat(c.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(19, 22, 43, 50);
    }
  }

  @Test
  void addsTheLowerTriangleOfAGramMatrix() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment h = floats(arena, 1, 0, 0, 1);
      BLAS.gram(2, 2, floats(arena, 1, 2, 3, 4), h);
      assertThat(h.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(11, 0, 14, 21);
    }
  }

  @Test
  void factorsAMatrix() {
    try (Arena arena = Arena.ofConfined()) {
      // L = [2 0; 1 3], column by column.
      MemorySegment a = floats(arena, 4, 2, 2, 10);
      BLAS.factor(2, a);
      float[] factor = a.toArray(ValueLayout.JAVA_FLOAT);
      assertThat(factor[0]).isCloseTo(2f, within(1e-6f));
      assertThat(factor[1]).isCloseTo(1f, within(1e-6f));
      assertThat(factor[3]).isCloseTo(3f, within(1e-6f));
    }
  }

  @Test
  void factorsTheInverse() {
    try (Arena arena = Arena.ofConfined()) {
      // The inverse of [4 2; 2 10] is [10 −2; −2 4]/36.
      MemorySegment a = floats(arena, 4, 2, 2, 10);
      BLAS.factorChain(2, a);
      float[] factor = a.toArray(ValueLayout.JAVA_FLOAT);
      assertThat(factor[0]).isCloseTo((float) Math.sqrt(10 / 36.0), within(1e-6f));
      assertThat(factor[1] * factor[0]).isCloseTo(-2 / 36f, within(1e-6f));
    }
  }

  @Test
  void multipliesByATransposedMatrix() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment c = floats(arena, 0, 0);
      BLAS.gemmTransposed(1, 2, 2, floats(arena, 1, 2), floats(arena, 3, 4, 5, 6), c);
      assertThat(c.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(11, 17);
    }
  }

  @Test
  void sumsProducts() {
    try (Arena arena = Arena.ofConfined()) {
      assertThat(BLAS.dot(3, floats(arena, 1, 2, 3), floats(arena, 4, 5, 6))).isEqualTo(32f);
    }
  }

  private static MemorySegment floats(Arena arena, float... values) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }
}
