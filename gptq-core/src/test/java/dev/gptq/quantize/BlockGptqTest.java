package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.grid.SuperBlock;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** {@link BlockGptq}, {@link BlockFit} and {@link BlockRefit} by way of {@link Gptq}. */
final class BlockGptqTest {
  private static final int ROWS = 6;
  private static final int COLUMNS = 512;
  private static final int TOKENS = 300;

  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();
  private final float[] w = new float[ROWS * COLUMNS];
  private final float[] x = new float[TOKENS * COLUMNS];
  private final Tensor weight;
  private final Hessian hessian;

  BlockGptqTest() {
    SplittableRandom random = new SplittableRandom(11);
    for (int i = 0; i < w.length; i++) {
      w[i] = (float) (random.nextGaussian() * (1 + i % 7)) * 0.01f;
    }
    for (int t = 0; t < TOKENS; t++) {
      double common = random.nextGaussian();
      for (int i = 0; i < COLUMNS; i++) {
        x[t * COLUMNS + i] = (float) (random.nextGaussian() + common * (i % 3));
      }
    }
    weight = scope.upload(MemorySegment.ofArray(w), DType.F32, ROWS, COLUMNS, Layout.ROW_MAJOR);
    hessian = new Hessian(backend, scope, COLUMNS);
    hessian.add(
        scope.upload(MemorySegment.ofArray(x), DType.F32, TOKENS, COLUMNS, Layout.ROW_MAJOR));
  }

  @AfterEach
  void close() {
    backend.close();
  }

  private static GptqOptions options(SuperBlock type, Refinement refinement, ColumnOrder order) {
    return GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4).withSearch(GridSearch.PIVOT), 128)
        .withOrder(order)
        .withRefinement(refinement)
        .withBlocks(type);
  }

  private Gptq.Result solve(GptqOptions options) {
    HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
    return new Gptq(backend, options).quantize(weight, factor, scope);
  }

  /** {@code ½·Σ ‖(W − Q)x‖²}, and what damping adds to it. */
  private double loss(PackedMatrix q, double lambda) {
    double loss = 0;
    for (int o = 0; o < ROWS; o++) {
      for (int t = 0; t < TOKENS; t++) {
        double sum = 0;
        for (int i = 0; i < COLUMNS; i++) {
          sum += (w[o * COLUMNS + i] - q.weight(o, i)) * (double) x[t * COLUMNS + i];
        }
        loss += sum * sum;
      }
      for (int i = 0; i < COLUMNS; i++) {
        double difference = w[o * COLUMNS + i] - q.weight(o, i);
        loss += lambda * difference * difference;
      }
    }
    return loss / 2;
  }

  /** Scales are products of a float16 number and an integer that the type has. */
  private static void assertHeld(SuperBlock type, PackedMatrix q) {
    assertThat(q.bits()).isEqualTo(type.bits());
    assertThat(q.groupSize()).isEqualTo(type.groupSize());
    for (int o = 0; o < ROWS; o++) {
      for (int block = 0; block < COLUMNS / SuperBlock.COLUMNS; block++) {
        assertThat(isHeld(type, q, o, block)).as("row %s block %s", o, block).isTrue();
      }
    }
  }

  private static boolean isHeld(SuperBlock type, PackedMatrix q, int o, int block) {
    int first = block * type.groups();
    for (int c = type.leastScale(); c <= type.mostScale(); c++) {
      for (int g = first; c != 0 && g < first + type.groups(); g++) {
        float d = Float.float16ToFloat(Float.floatToFloat16(q.scale(o, g) / c));
        if (d != 0 && divides(type, q, o, first, d)) {
          return true;
        }
      }
    }
    return false;
  }

  private static boolean divides(SuperBlock type, PackedMatrix q, int o, int first, float d) {
    for (int g = first; g < first + type.groups(); g++) {
      int c = (int) Math.rint(q.scale(o, g) / d);
      if (c < type.leastScale() || c > type.mostScale() || d * c != q.scale(o, g)) {
        return false;
      }
    }
    return true;
  }

  @ParameterizedTest
  @EnumSource(SuperBlock.class)
  void losesLessThanRoundingAndLessWithRefinement(SuperBlock type) {
    PackedMatrix nearest = RoundToNearest.onBlocks(backend, type, weight, scope).pack();
    GptqOptions plain = options(type, Refinement.NONE, ColumnOrder.GROUP_AWARE);
    Gptq.Result once = solve(plain);
    double lambda = HessianFactor.of(backend, hessian, plain, scope).lambda();
    Gptq.Result refined =
        solve(options(type, new Refinement(1, 1, 0, false), ColumnOrder.GROUP_AWARE));
    Gptq.Result careful =
        solve(options(type, new Refinement(4, 1, 4, false), ColumnOrder.GROUP_AWARE));
    assertHeld(type, nearest);
    assertHeld(type, once.matrix().pack());
    assertHeld(type, refined.matrix().pack());
    assertHeld(type, careful.matrix().pack());
    double found = loss(once.matrix().pack(), lambda);
    assertThat(once.loss()).isCloseTo(found, within(1e-3 * found));
    assertThat(refined.loss())
        .isCloseTo(loss(refined.matrix().pack(), lambda), within(1e-3 * found));
    assertThat(once.loss()).isLessThan(0.8 * loss(nearest, lambda));
    assertThat(refined.loss()).isLessThan(0.99 * once.loss());
    assertThat(careful.loss()).isLessThan(0.99 * refined.loss());
  }

  /** Zeros, weights of one sign, a single weight. */
  @ParameterizedTest
  @EnumSource(SuperBlock.class)
  void oddBlocksAreHeld(SuperBlock type) {
    float[] odd = new float[ROWS * COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      odd[COLUMNS + i] = 0.5f + i * 1e-3f;
      odd[2 * COLUMNS + i] = -odd[COLUMNS + i];
      odd[3 * COLUMNS + i] = 1e-9f * i;
    }
    odd[4 * COLUMNS + 100] = 3;
    Tensor w = scope.upload(MemorySegment.ofArray(odd), DType.F32, ROWS, COLUMNS, Layout.ROW_MAJOR);
    GptqOptions options = options(type, new Refinement(1, 1, 1, false), ColumnOrder.NATURAL);
    HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
    PackedMatrix q = new Gptq(backend, options).quantize(w, factor, scope).matrix().pack();
    for (int i = 0; i < COLUMNS; i++) {
      assertThat(q.weight(0, i)).isZero();
      assertThat(Math.abs(q.weight(1, i) - odd[COLUMNS + i])).isLessThan(0.5f);
      assertThat(Math.abs(q.weight(2, i) - odd[2 * COLUMNS + i])).isLessThan(0.5f);
    }
    assertHeld(type, q);
  }

  @Test
  void theGridIsThatOfTheBlocks() {
    GptqOptions options = options(SuperBlock.Q4_K, Refinement.NONE, ColumnOrder.NATURAL);
    assertThat(options.groupSize()).isEqualTo(32);
    assertThat(options.grid().scheme()).isEqualTo(Scheme.ASYMMETRIC);
    assertThatThrownBy(() -> options.withGroupSize(64))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the grid of Q4_K is not that of these options");
  }
}
