package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
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

/**
 * A random product with weights in tiles.
 *
 * @param scheme which codes there are
 * @param bits bits of a code
 * @param out output features
 * @param in input features
 * @param groupSize inputs of a group
 * @param tokens rows of x
 * @param offset columns before x in the matrix of which it is a part
 */
record TiledProduct(
    Scheme scheme, int bits, int out, int in, int groupSize, int tokens, int offset) {
  // The output is rounded to bfloat16; for many rows the weights are too.
  private static final double OUTPUT_ROUNDING = 0x1p-8;

  /** Holds a backend's product against sums in float64. */
  void check(Backend backend) {
    Random random = new Random(20260101);
    int groups = in / groupSize;
    int[] codes = random.ints((long) out * in, 0, 1 << bits).toArray();
    float[] scales = new float[groups * out];
    float[] zeros = new float[groups * out];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = Float.float16ToFloat(Float.floatToFloat16(0.01f + random.nextFloat()));
      zeros[i] = scheme.hasZeroPoint() ? random.nextInt(1 << bits) : scheme.fixedZero(bits);
    }
    float[] x = new float[tokens * (in + offset)];
    for (int i = 0; i < x.length; i++) {
      x[i] =
          Float.intBitsToFloat(Float.floatToRawIntBits((float) random.nextGaussian()) & 0xffff0000);
    }
    short[] result = product(backend, packed(groups, codes, scales, zeros), x);
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
        // Not by AssertJ, which takes long for millions of numbers.
        if (!(Math.abs(actual - sum) <= OUTPUT_ROUNDING * magnitude)) {
          throw new AssertionError(
              this + ", row " + t + ", output " + o + ": " + actual + " in place of " + sum);
        }
      }
    }
  }

  private short[] product(Backend backend, PackedMatrix packed, float[] x) {
    try (TensorScope scope = backend.newScope()) {
      PackedWeights weights = backend.packed().prepare(packed, scope);
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
      short[] result = new short[tokens * out];
      y.copyTo(MemorySegment.ofArray(result));
      return result;
    }
  }

  private PackedMatrix packed(int groups, int[] codes, float[] scales, float[] zeros) {
    MemorySegment words = MemorySegment.ofArray(new byte[4 * BitStream.words(in, bits) * out]);
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        BitStream.put(words, out, o, i, bits, codes[o * in + i]);
      }
    }
    return new PackedMatrix(
        scheme,
        bits,
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
