package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The tensor-core layout of 4-bit weights, against sums in float64. */
final class TiledMatmulTest {
  // The output is rounded to bfloat16; for many rows the weights are too.
  private static final double OUTPUT_ROUNDING = 0x1p-8;

  private final Random random = new Random(20260101);

  @BeforeAll
  static void needsCompiler() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
  }

  @ParameterizedTest
  @CsvSource({
    "9, ASYMMETRIC, 16, 64, 64, 1, 0, stripMatmul_2_1",
    "9, ASYMMETRIC, 48, 640, 128, 1, 0, stripMatmul_2_1",
    "9, SYMMETRIC, 160, 256, 256, 3, 0, stripMatmul_4_1",
    "9, HALF_OFFSET, 32, 128, 64, 8, 0, stripMatmul_2_1",
    "9, HALF_OFFSET, 352, 320, 64, 7, 1, stripMatmul_6_1",
    "9, ASYMMETRIC, 480, 256, 64, 5, 0, stripMatmul_8_1",
    "9, ASYMMETRIC, 160, 1152, 128, 9, 0, stripMatmul_4_2",
    "9, SYMMETRIC, 2064, 128, 128, 16, 0, stripMatmul_12_2",
    "9, ASYMMETRIC, 880, 192, 192, 11, 0, stripMatmul_14_2",
    "9, ASYMMETRIC, 32, 192, 64, 17, 1, stripMatmul_2_2 stripMatmul_2_1",
    "9, ASYMMETRIC, 48, 5056, 64, 16, 0, pairMatmul_4_2",
    "9, HALF_OFFSET, 112, 10048, 64, 8, 0, pairMatmul_4_1",
    "9, HALF_OFFSET, 272, 128, 128, 40, 0, groupMatmul_64",
    "9, ASYMMETRIC, 64, 320, 64, 66, 1, groupMatmul_64",
    "9, SYMMETRIC, 272, 192, 64, 100, 1, groupMatmul_128",
    "9, ASYMMETRIC, 272, 704, 64, 130, 0, groupMatmul_256",
    "9, ASYMMETRIC, 144, 1088, 64, 300, 0, groupMatmul_256",
    "9, SYMMETRIC, 528, 1088, 64, 200, 0, groupMatmul_256 groupMatmul_64",
    "8, ASYMMETRIC, 48, 5056, 64, 16, 0, stripMatmul_2_2",
    "8, HALF_OFFSET, 48, 192, 192, 65, 0, unpackTiles",
    "8, ASYMMETRIC, 64, 320, 64, 66, 1, unpackTiles"
  })
  void agreesWithItsDefinition(
      int capability,
      Scheme scheme,
      int out,
      int in,
      int groupSize,
      int tokens,
      int offset,
      String kernels) {
    int groups = in / groupSize;
    int[] codes = random.ints((long) out * in, 0, 16).toArray();
    float[] scales = new float[groups * out];
    float[] zeros = new float[groups * out];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = Float.float16ToFloat(Float.floatToFloat16(0.01f + random.nextFloat()));
      zeros[i] = scheme.hasZeroPoint() ? random.nextInt(16) : scheme.fixedZero(4);
    }
    float[] x = new float[tokens * (in + offset)];
    for (int i = 0; i < x.length; i++) {
      x[i] =
          Float.intBitsToFloat(Float.floatToRawIntBits((float) random.nextGaussian()) & 0xffff0000);
    }
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow(), capability);
    try (Backend backend = EmulatedProvider.backend(driver, BackendOptions.defaults());
        TensorScope scope = backend.newScope()) {
      PackedWeights weights =
          backend.packed().prepare(packed(scheme, out, in, groups, codes, scales, zeros), scope);
      assertThat(weights).isInstanceOf(TiledWeights.class);
      Tensor wide = scope.rowMajor(DType.BF16, tokens, in + offset);
      backend
          .linalg()
          .convert(
              scope.upload(
                  MemorySegment.ofArray(x), DType.F32, tokens, in + offset, Layout.ROW_MAJOR),
              wide);
      Tensor y = scope.rowMajor(DType.BF16, tokens, out);
      backend.packed().matmul(wide.columns(offset, in + offset), weights, y);
      assertThat(driver.launched()).contains(kernels.split(" "));
      short[] result = new short[tokens * out];
      y.copyTo(MemorySegment.ofArray(result));
      for (int t = 0; t < tokens; t++) {
        for (int o = 0; o < out; o++) {
          double sum = 0;
          double magnitude = 0;
          for (int i = 0; i < in; i++) {
            int group = i / groupSize * out + o;
            double weight = scales[group] * (double) (codes[o * in + i] - zeros[group]);
            double product = weight * x[t * (in + offset) + offset + i];
            sum += product;
            magnitude += Math.abs(product);
          }
          float actual = Float.intBitsToFloat(result[t * out + o] << 16);
          assertThat(Math.abs(actual - sum))
              .as("row %s, output %s: %s", t, o, actual)
              .isLessThanOrEqualTo(OUTPUT_ROUNDING * magnitude);
        }
      }
    }
  }

  private static PackedMatrix packed(
      Scheme scheme, int out, int in, int groups, int[] codes, float[] scales, float[] zeros) {
    MemorySegment words = MemorySegment.ofArray(new byte[4 * BitStream.words(in, 4) * out]);
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        BitStream.put(words, out, o, i, 4, codes[o * in + i]);
      }
    }
    return new PackedMatrix(
        scheme,
        4,
        out,
        in,
        groups,
        words,
        bytes(scales),
        scheme.hasZeroPoint() ? Optional.of(bytes(zeros)) : Optional.empty(),
        Optional.empty());
  }

  private static MemorySegment bytes(float[] values) {
    MemorySegment segment = MemorySegment.ofArray(new byte[4 * values.length]);
    MemorySegment.copy(values, 0, segment, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values.length);
    return segment;
  }
}
