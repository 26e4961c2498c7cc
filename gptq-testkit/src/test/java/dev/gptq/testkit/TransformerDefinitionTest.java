package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The oracle's forward pass by known answers and invariants. */
final class TransformerDefinitionTest {
  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();
  private final TransformerOps ops = backend.transformer();

  @AfterEach
  void close() {
    backend.close();
  }

  private Tensor matrix(int rows, int columns, float... values) {
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  private Tensor normal(int rows, int columns) {
    Matrix m = new Inputs("definition").normal(rows, columns);
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  private Tensor activated(Activation f, float... x) {
    Tensor y = scope.upload(x);
    ops.activate(f, y, y);
    return y;
  }

  /** Φ of the normal distribution from tables: Φ(1), Φ(−1), Φ(2), Φ(−3), Φ(0.5), Φ(−6). */
  @Test
  void geluHasTheValuesOfTheNormalDistribution() {
    assertThat(HostCopies.floats(activated(Activation.GELU, 1, -1, 2, -3, 0.5f, 0, 10)))
        .containsExactly(
            new float[] {
              0.8413447f,
              -0.15865526f,
              2 * 0.97724986f,
              -3 * 0.001349898f,
              0.5f * 0.69146246f,
              0,
              10
            },
            within(2e-7f));
    float tail = HostCopies.floats(activated(Activation.GELU, -6))[0];
    assertThat(tail).isCloseTo(-6 * 9.865877e-10f, within(1e-15f));
  }

  @Test
  void otherActivationsHaveKnownValues() {
    float silu = (float) (1 / (1 + Math.exp(-1)));
    assertThat(HostCopies.floats(activated(Activation.SILU, 1, -1, 0)))
        .containsExactly(new float[] {silu, silu - 1, 0}, within(1e-7f));
    assertThat(HostCopies.floats(activated(Activation.GELU_TANH, 1, -1)))
        .containsExactly(new float[] {0.841192f, -0.15880801f}, within(1e-7f));
    assertThat(HostCopies.floats(activated(Activation.RELU, 2, -2, 0))).containsExactly(2, 0, 0);
  }

  @Test
  void normalisedRowsHaveUnitMoments() {
    int n = 50;
    float[] ones = new float[n];
    Arrays.fill(ones, 1);
    Tensor gain = scope.upload(ones);
    Tensor bias = scope.upload(new float[n]);
    Tensor y = scope.rowMajor(DType.F32, 3, n);
    ops.rmsNorm(normal(3, n), gain, 0, y);
    for (float[] row : rows(y)) {
      assertThat(mean(row, 2)).isCloseTo(1, within(1e-6));
    }
    ops.layerNorm(normal(3, n), gain, bias, 0, y);
    for (float[] row : rows(y)) {
      assertThat(mean(row, 1)).isCloseTo(0, within(1e-6));
      assertThat(mean(row, 2)).isCloseTo(1, within(1e-6));
    }
  }

  /** A rotation keeps lengths, and dot products depend on the distance of positions only. */
  @ParameterizedTest
  @EnumSource
  void rotatedDotProductsDependOnDistance(RopePairs pairs) {
    int half = 4;
    Tensor cosine = angles(9, half, true);
    Tensor sine = angles(9, half, false);
    double[] dots = new double[2];
    for (int shift = 0; shift < 2; shift++) {
      Tensor q = matrix(1, 8, 1, 2, 3, 4, 5, 6, 7, 8);
      Tensor k = matrix(1, 8, 8, -7, 6, -5, 4, -3, 2, -1);
      ops.rope(q, 8, pairs, cosine, sine, 5 + 3 * shift, 1);
      ops.rope(k, 8, pairs, cosine, sine, 2 + 3 * shift, 1);
      dots[shift] = dot(HostCopies.floats(q), HostCopies.floats(k));
      assertThat(dot(HostCopies.floats(q), HostCopies.floats(q))).isCloseTo(204, within(1e-4));
    }
    assertThat(dots[1]).isCloseTo(dots[0], within(1e-4));
  }

  private Tensor angles(int positions, int half, boolean cosine) {
    Matrix m = Definitions.angles(positions, half, cosine ? Math::cos : Math::sin);
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), DType.F32, positions, half, Layout.ROW_MAJOR);
  }

  /** Rows of probabilities sum to one: with constant values, attention gives the constant. */
  @Test
  void attentionOfConstantValuesIsTheConstant() {
    AttentionSpec spec = new AttentionSpec(2, 1, 4, 0.5f, 3, 2, true);
    float[] values = new float[6 * 4];
    Arrays.fill(values, 2.5f);
    Tensor y = scope.rowMajor(DType.F32, 4, 8);
    ops.attention(normal(4, 8), normal(6, 4), matrix(6, 4, values), spec, 1, y);
    float[] expected = new float[4 * 8];
    Arrays.fill(expected, 2.5f);
    assertThat(HostCopies.floats(y)).containsExactly(expected, within(1e-6f));
  }

  /** With equal keys all visible positions weigh the same: running means. */
  @Test
  void attentionIsCausal() {
    AttentionSpec spec = new AttentionSpec(1, 1, 1, 1, 0, 0, false);
    Tensor y = scope.rowMajor(DType.F32, 4, 1);
    ops.attention(
        matrix(4, 1, 1, 2, 3, 4), matrix(4, 1, 0, 0, 0, 0), matrix(4, 1, 8, 4, 0, 16), spec, 1, y);
    assertThat(HostCopies.floats(y)).containsExactly(new float[] {8, 6, 4, 7}, within(1e-6f));
    // With a window of two; and with a cache, where two queries stand at positions 2 and 3.
    AttentionSpec two = new AttentionSpec(1, 1, 1, 1, 2, 0, false);
    Tensor late = scope.rowMajor(DType.F32, 2, 1);
    ops.attention(
        matrix(2, 1, 1, 1), matrix(4, 1, 0, 0, 0, 0), matrix(4, 1, 8, 4, 0, 16), two, 1, late);
    assertThat(HostCopies.floats(late)).containsExactly(new float[] {2, 8}, within(1e-6f));
  }

  /** By hand: scores ln 3 and 0 weigh 3 : 1; a distance of one costs the slope. */
  @Test
  void attentionWeighsBySoftmax() {
    float ln3 = (float) Math.log(3);
    Tensor y = scope.rowMajor(DType.F32, 1, 1);
    AttentionSpec plain = new AttentionSpec(1, 1, 1, 1, 0, 0, false);
    ops.attention(matrix(1, 1, 1), matrix(2, 1, ln3, 0), matrix(2, 1, 4, 8), plain, 1, y);
    assertThat(HostCopies.floats(y)[0]).isCloseTo(5, within(1e-6f));
    // One head has slope 2⁻⁸, so the score of the earlier key falls by that.
    AttentionSpec alibi = new AttentionSpec(1, 1, 1, 1, 0, 0, true);
    ops.attention(matrix(1, 1, 1), matrix(2, 1, ln3, 0), matrix(2, 1, 4, 8), alibi, 1, y);
    double weight = 3 * Math.exp(-1 / 256.0);
    float expected = (float) ((4 * weight + 8) / (weight + 1));
    assertThat(HostCopies.floats(y)[0]).isCloseTo(expected, within(1e-6f));
  }

  /** Slopes of Press et al.: 2⁻¹ … 2⁻⁸ for 8 heads; for 12 the other four lie between. */
  @Test
  void alibiSlopes() {
    AttentionSpec eight = new AttentionSpec(8, 8, 1, 1, 0, 0, true);
    AttentionSpec twelve = new AttentionSpec(12, 12, 1, 1, 0, 0, true);
    for (int head = 0; head < 8; head++) {
      assertThat(eight.alibiSlope(head)).isEqualTo((float) Math.pow(2, -(head + 1)));
      assertThat(twelve.alibiSlope(head)).isEqualTo(eight.alibiSlope(head));
    }
    for (int head = 8; head < 12; head++) {
      assertThat(twelve.alibiSlope(head)).isEqualTo((float) Math.pow(2, -(head - 8) - 0.5));
    }
  }

  @Test
  void crossEntropyOfUniformAndOfCertainLogits() {
    Tensor loss = scope.rowMajor(DType.F32, 1, 3);
    ops.crossEntropy(
        matrix(3, 4, 7, 7, 7, 7, 1000, 0, 0, 0, 0, 0, 0, 1000), scope.upload(2, 0, 1), loss);
    assertThat(HostCopies.floats(loss))
        .containsExactly(new float[] {(float) Math.log(4), 0, 1000}, within(1e-6f));
  }

  @Test
  void scatterUndoesGather() {
    Tensor x = matrix(3, 2, 1, 2, 3, 4, 5, 6);
    Tensor picked = scope.rowMajor(DType.F32, 2, 2);
    Tensor index = scope.upload(2, 0);
    ops.gatherRows(x, index, picked);
    assertThat(HostCopies.floats(picked)).containsExactly(5, 6, 1, 2);
    ops.scatterAddRows(picked, index, scope.upload(-1f, 2f), x);
    assertThat(HostCopies.floats(x)).containsExactly(3, 6, 3, 4, 0, 0);
  }

  private static float[][] rows(Tensor t) {
    float[] all = HostCopies.floats(t);
    float[][] rows = new float[t.rows()][];
    for (int r = 0; r < t.rows(); r++) {
      rows[r] = Arrays.copyOfRange(all, r * t.columns(), (r + 1) * t.columns());
    }
    return rows;
  }

  private static double mean(float[] values, int power) {
    double sum = 0;
    for (float v : values) {
      sum += Math.pow(v, power);
    }
    return sum / values.length;
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }
}
