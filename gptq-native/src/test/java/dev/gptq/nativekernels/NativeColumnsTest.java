package dev.gptq.nativekernels;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.simd.kernels.ColumnKernels;
import dev.gptq.simd.kernels.ColumnKernels.Grids;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;

/** What is done with columns: that every level has the bits of the definition. */
final class NativeColumnsTest {
  // Strips of every level and the beginning of one; two panels of columns and three left.
  private static final int ROWS = 199;
  private static final int COLUMNS = 11;
  private static final int STRIDE = ROWS + 3;
  private static final int GROUPS = 3;
  private static final int MOST = 15;
  private static final float MAGIC = 0x1.8p23f;

  private final Random random = new Random(13);
  private final float[] w = numbers(COLUMNS * STRIDE);
  private final float[] u = numbers(COLUMNS * COLUMNS);
  private final float[] scale = numbers(GROUPS * STRIDE);
  private final float[] zero = numbers(GROUPS * STRIDE);
  private final int[] groupOf = {0, 1, 1, 0, 2, 2, 2, 0, 1, 2, 0};

  NativeColumnsTest() {
    for (int i = 0; i < scale.length; i++) {
      scale[i] = 0.2f * Math.abs(scale[i]);
      zero[i] = random.nextInt(MOST + 1);
    }
    for (int j = 0; j < COLUMNS; j++) {
      u[j * COLUMNS + j] = 1 + Math.abs(u[j * COLUMNS + j]);
      w[j * STRIDE + 5] = 0;
      w[j * STRIDE + 6] = 1e30f;
    }
    for (int g = 0; g < GROUPS; g++) {
      scale[g * STRIDE + 5] = 0;
    }
  }

  /** Also levels whose instructions this processor lacks, with these written out in C. */
  @Test
  @EnabledOnOs(architectures = "amd64")
  void everyLevelHasTheBitsOfTheDefinition() {
    KernelLibrary own = KernelLibrary.found().library().orElseThrow();
    KernelLibrary emulated =
        KernelLibrary.load("emulated/" + KernelLibrary.resource()).library().orElseThrow();
    for (KernelLibrary library : new KernelLibrary[] {own, emulated}) {
      for (int level : library.levels()) {
        for (boolean midRise : new boolean[] {false, true}) {
          hasTheBitsOfTheDefinition(
              new NativeColumns(library, level), midRise, library.name(level) + " " + midRise);
        }
      }
    }
  }

  private void hasTheBitsOfTheDefinition(ColumnKernels kernels, boolean midRise, String level) {
    float[] errors = w.clone();
    float[] left = w.clone();
    byte[] codes = new byte[w.length];
    for (int r = 0; r < ROWS; r++) {
      quantize(r, midRise, errors, codes, left);
    }
    try (Arena arena = Arena.ofConfined()) {
      Rows given = rows(arena, w, STRIDE);
      Rows weights = rows(arena, w, STRIDE);
      Rows chosen = new Rows(arena.allocate(codes.length), STRIDE);
      Grids grids =
          new Grids(
              rows(arena, scale, STRIDE),
              rows(arena, zero, STRIDE),
              arena.allocateFrom(ValueLayout.JAVA_INT, groupOf),
              midRise,
              0,
              MOST);
      Shape shape = new Shape(ROWS, COLUMNS);
      MemorySegment scratch = arena.allocate(4L * kernels.rows() * COLUMNS);
      kernels.quantize(weights, rows(arena, u, COLUMNS), grids, GROUPS, chosen, shape, scratch);
      kernels.subtract(given, grids, GROUPS, chosen, given, shape);
      assertThat(bits(weights)).as(level).isEqualTo(bits(errors));
      assertThat(chosen.segment().toArray(ValueLayout.JAVA_BYTE)).as(level).isEqualTo(codes);
      assertThat(bits(given)).as(level).isEqualTo(bits(left));
    }
  }

  /** One row, as the paper has it. */
  private void quantize(int r, boolean midRise, float[] errors, byte[] codes, float[] left) {
    for (int j = 0; j < COLUMNS; j++) {
      int at = j * STRIDE + r;
      float s = scale[groupOf[j] * STRIDE + r];
      float z = zero[groupOf[j] * STRIDE + r];
      float t = errors[at] / s;
      float rounded = (t + MAGIC) - MAGIC;
      if (midRise) {
        rounded = (rounded > t ? rounded - 1 : rounded) + 0.5f;
      }
      float code = Float.isNaN(t) ? 0 : Math.clamp(rounded + z, 0f, MOST);
      codes[at] = (byte) (int) Math.rint(code);
      float e = (errors[at] - s * (code - z)) / u[j * COLUMNS + j];
      for (int k = j + 1; k < COLUMNS; k++) {
        int next = k * STRIDE + r;
        errors[next] = Math.fma(-e, u[j * COLUMNS + k], errors[next]);
      }
      errors[at] = e;
      left[at] -= s * (Byte.toUnsignedInt(codes[at]) - z);
    }
  }

  private static Rows rows(Arena arena, float[] numbers, int stride) {
    return new Rows(arena.allocateFrom(ValueLayout.JAVA_FLOAT, numbers), stride);
  }

  private static int[] bits(Rows rows) {
    return bits(rows.segment().toArray(ValueLayout.JAVA_FLOAT));
  }

  private static int[] bits(float[] numbers) {
    int[] bits = new int[numbers.length];
    Arrays.setAll(bits, i -> Float.floatToIntBits(numbers[i]));
    return bits;
  }

  private float[] numbers(int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }
}
