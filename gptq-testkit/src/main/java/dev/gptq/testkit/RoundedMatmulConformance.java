package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableSet;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * What a backend promises that rounds activations to 8 bits: products against the definition with
 * activations rounded likewise, inputs sorted by group, a scale for each 32. Integers are exact, so
 * that what remains for few tokens are the float32 roundings of one product for each chunk and
 * group, and for many perhaps those of a product in float32. The backend under test is opened such
 * that it rounds all of them.
 */
public abstract class RoundedMatmulConformance extends Conformance {
  private static final int CHUNK = 32;
  private static final double EPSILON = 0x1p-24;

  private final Random random = new Random(7);

  /** For subclasses. */
  protected RoundedMatmulConformance() {}

  /** The widths of codes that meet rounded activations; others meet those in float32. */
  protected ImmutableSet<Integer> roundedBits() {
    return ImmutableSet.of(4);
  }

  @Test
  void everySchemeAndShape() {
    for (Scheme scheme : Scheme.values()) {
      for (int tokens : new int[] {1, 3, 9}) {
        check(weights(scheme, 19, groups(64, 2)), normal(tokens, 64));
        check(weights(scheme, 70, groups(256, 2)), normal(tokens, 256));
        check(weights(scheme, 33, groups(96, 3)), normal(tokens, 96));
        check(weights(scheme, 5, groups(61, 1)), normal(tokens, 61));
        check(weights(scheme, 1, groups(1, 1)), normal(tokens, 1));
      }
    }
  }

  @Test
  void everyWidthOfCodes() {
    for (int bits : roundedBits()) {
      for (Scheme scheme : Scheme.values()) {
        for (int tokens : new int[] {1, 6, 9}) {
          check(weights(scheme, bits, 19, groups(64, 2)), normal(tokens, 64));
          check(weights(scheme, bits, 67, groups(150, 4)), normal(tokens, 150));
        }
      }
    }
  }

  @Test
  void manyRowsByManyTasks() {
    check(weights(Scheme.ASYMMETRIC, 300, groups(512, 4)), normal(63, 512));
    check(weights(Scheme.ASYMMETRIC, 300, groups(512, 4)), normal(64, 512));
    check(weights(Scheme.SYMMETRIC, 33, groups(100, 3)), normal(131, 100));
    check(weights(Scheme.SYMMETRIC, 517, groups(768, 6)), normal(1, 768));
  }

  @Test
  void groupsInNoRegularOrder() {
    int[] groupOf = random.ints(100, 0, 3).toArray();
    check(weights(Scheme.ASYMMETRIC, 33, groupOf), normal(6, 100));
    check(weights(Scheme.SYMMETRIC, 33, groupOf), normal(9, 100));
    check(weights(Scheme.SYMMETRIC, 33, groupOf), normal(70, 100));
  }

  /** The sums of a chunk reach the ends of what holds them. */
  @Test
  void theLargestSums() {
    for (int bits : roundedBits()) {
      for (int code : new int[] {0, (1 << bits) - 1}) {
        for (float value : new float[] {-3, 3}) {
          byte[] codes = new byte[40 * 128];
          Arrays.fill(codes, (byte) code);
          float[] x = new float[128];
          Arrays.fill(x, value);
          check(weights(Scheme.SYMMETRIC, bits, 40, groups(128, 1), codes), x);
        }
      }
    }
  }

  @Test
  void zerosAndNumbersNextToZero() {
    float[] x = new float[96];
    Arrays.fill(x, 32, 64, Float.MIN_VALUE);
    x[70] = 0x1p-100f;
    check(weights(Scheme.ASYMMETRIC, 20, groups(96, 1)), x);
  }

  @Test
  void whatIsNotFiniteShows() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      for (int tokens : new int[] {1, 64}) {
        float[] x = normal(tokens, 64);
        x[40] = bad;
        PackedMatrix w = weights(Scheme.SYMMETRIC, 20, groups(64, 2));
        float[] y = product(w, x);
        for (int i = 0; i < y.length; i++) {
          assertThat(Float.isNaN(y[i])).as("%d", i).isEqualTo(i < 20);
        }
      }
    }
  }

  private void check(PackedMatrix w, float[] x) {
    float[] y = product(w, x);
    int tokens = x.length / w.columns();
    int chunks = (w.columns() + CHUNK - 1) / CHUNK + 2 * w.groups() + 8;
    int roundings = tokens < 64 ? chunks : Math.max(chunks, w.columns() + 3);
    for (int t = 0; t < tokens; t++) {
      int middle = 1 << (w.bits() - 1);
      double[] rounded = rounded(w, Arrays.copyOfRange(x, t * w.columns(), (t + 1) * w.columns()));
      for (int o = 0; o < w.rows(); o++) {
        double sum = 0;
        double magnitude = 0;
        for (int i = 0; i < w.columns(); i++) {
          int g = w.group(i);
          sum += rounded[i] * w.scale(o, g) * (w.code(o, i) - w.zero(o, g));
          double most = middle + Math.abs(middle - w.zero(o, g));
          magnitude += Math.abs(rounded[i]) * w.scale(o, g) * most;
        }
        assertThat((double) y[t * w.rows() + o])
            .as("%s, token %d, output %d", w.scheme(), t, o)
            .isBetween(
                sum - roundings * EPSILON * magnitude, sum + roundings * EPSILON * magnitude);
      }
    }
  }

  /** Each input as the nearest of 255 multiples of its chunk's scale. */
  private static double[] rounded(PackedMatrix w, float[] x) {
    double[] rounded = new double[x.length];
    for (int g = 0; g < w.groups(); g++) {
      int group = g;
      int[] inputs = IntStream.range(0, x.length).filter(i -> w.group(i) == group).toArray();
      for (int from = 0; from < inputs.length; from += CHUNK) {
        int[] chunk = Arrays.copyOfRange(inputs, from, Math.min(inputs.length, from + CHUNK));
        float max = 0;
        for (int i : chunk) {
          max = Math.max(max, Math.abs(x[i]));
        }
        for (int i : chunk) {
          rounded[i] = max < 0x1p-118f ? 0 : Math.rint(x[i] * (127 / max)) * (max / 127);
        }
      }
    }
    return rounded;
  }

  private float[] product(PackedMatrix w, float[] x) {
    int tokens = x.length / w.columns();
    try (TensorScope scope = backend().newScope()) {
      Tensor rows =
          scope.upload(MemorySegment.ofArray(x), DType.F32, tokens, w.columns(), Layout.ROW_MAJOR);
      Tensor y = scope.rowMajor(DType.F32, tokens, w.rows());
      backend().packed().matmul(rows, backend().packed().prepare(w, scope), y);
      return HostCopies.floats(y);
    }
  }

  private float[] normal(int tokens, int columns) {
    float[] x = new float[tokens * columns];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static int[] groups(int columns, int count) {
    return IntStream.range(0, columns).map(i -> i * count / columns).toArray();
  }

  private PackedMatrix weights(Scheme scheme, int rows, int[] groupOf) {
    return weights(scheme, 4, rows, groupOf);
  }

  private PackedMatrix weights(Scheme scheme, int bits, int rows, int[] groupOf) {
    byte[] codes = new byte[rows * groupOf.length];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (scheme.minCode() + random.nextInt((1 << bits) - scheme.minCode()));
    }
    return weights(scheme, bits, rows, groupOf, codes);
  }

  private PackedMatrix weights(Scheme scheme, int bits, int rows, int[] groupOf, byte[] codes) {
    int groups = Arrays.stream(groupOf).max().orElseThrow() + 1;
    float[] scales = new float[groups * rows];
    float[] zeros = new float[groups * rows];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = 0.01f + 0.01f * random.nextFloat();
      zeros[i] = random.nextInt(1 << bits);
    }
    Optional<MemorySegment> own =
        scheme.hasZeroPoint() ? Optional.of(MemorySegment.ofArray(zeros)) : Optional.empty();
    return Packer.pack(scheme, bits, rows, groupOf, codes, MemorySegment.ofArray(scales), own);
  }
}
