package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OutputCurvatureTest {

  /**
   * The factor is that of the chosen outputs, scaled to a mean diagonal of 1, with less beside the
   * diagonal where gradients are few.
   *
   * @param times how often the gradients are added
   */
  @ParameterizedTest
  @ValueSource(ints = {1, 10})
  void factorsAreOfTheChosenOutputs(int times) {
    double chance = OutputCurvature.chance(2, 4L * times);
    assertThat(chance).isEqualTo(times == 1 ? 0.9 / 1.9 : 0);
    float[] gradients = {1, 2, 0, 3, 1, 1, 2, 0, 0, 2, 4, 1};
    try (Backend backend =
            new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
        TensorScope scope = backend.newScope()) {
      OutputCurvature curvature = new OutputCurvature(backend, scope, 3);
      for (int i = 0; i < times; i++) {
        curvature.add(
            scope.upload(MemorySegment.ofArray(gradients), DType.F32, 4, 3, Layout.ROW_MAJOR));
      }
      curvature.finish();
      ImmutableList<HessianFactor> factors = curvature.factors(backend, List.of(0, 2), scope);
      assertThat(factors).hasSize(1);
      HessianFactor factor = factors.getFirst();
      // Squares of columns 0 and 2 are 1 + 9 + 4 + 4 = 18 and 0 + 1 + 0 + 1 = 2, their product 3 +
      // 2.
      assertThat(factor.order()).containsExactly(0, 1);
      assertThat(factor.damping()).isEqualTo(OutputCurvature.DAMPING);
      float[] v = HostCopies.floats(factor.v());
      double[] columnMajor = {v[0], v[1], v[2], v[3]};
      boolean rows = factor.v().layout() == Layout.ROW_MAJOR;
      double a = columnMajor[0];
      double b = columnMajor[rows ? 1 : 2];
      double d = columnMajor[3];
      assertThat(a * a + b * b)
          .isCloseTo((1 - chance) * 18 / 10 + chance + OutputCurvature.DAMPING, within(1e-6));
      assertThat(b * d).isCloseTo((1 - chance) * 5 / 10, within(1e-6));
      assertThat(d * d)
          .isCloseTo((1 - chance) * 2 / 10 + chance + OutputCurvature.DAMPING, within(1e-6));
    }
  }

  @Test
  void manyOutputsAreKeptInBlocks() {
    int most = OutputCurvature.MOST;
    assertThat(OutputCurvature.size(most)).isEqualTo((long) most * most);
    assertThat(OutputCurvature.size(2 * most + 3)).isEqualTo(2L * most * most + 9);
  }

  @Test
  void tokenWeightsAreHalfTheirShareAndCut() {
    float[] squares = new float[2000];
    Arrays.fill(squares, 2);
    squares[7] = 1e9f;
    squares[8] = 0;
    float[] weights = OutputCurvature.tokenWeights(squares);
    assertThat(weights[7]).isEqualTo(weights[0]);
    assertThat(weights[8]).isEqualTo(0.5f);
    double sum = 0;
    for (float weight : weights) {
      sum += weight;
    }
    assertThat(sum / weights.length).isCloseTo(1, within(1e-6));
    assertThat(OutputCurvature.tokenWeights(new float[] {0, 0})).containsExactly(1, 1);
  }
}
