package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How much goes together shows in no gradient. */
class AttentionGradientTest {
  private static final AttentionSpec SPEC = new AttentionSpec(4, 2, 3, 0.5f, 4, 0, 1);
  private static final int SEQUENCES = 3;
  private static final int LENGTH = 7;

  /** Some queries of a sequence, sequences of a head, heads. */
  @ParameterizedTest
  @ValueSource(ints = {1, 20, 60, 100, 150})
  void partsMakeNoDifference(int most) {
    try (Backend backend = TestBackends.open("reference")) {
      List<float[]> whole = gradients(backend, 1 << 20);
      List<float[]> parts = gradients(backend, most);
      for (int i = 0; i < whole.size(); i++) {
        assertThat(parts.get(i)).containsExactly(whole.get(i), within(1e-5f));
      }
    }
  }

  private static List<float[]> gradients(Backend backend, int most) {
    try (TensorScope scope = backend.newScope()) {
      Random random = new Random(1);
      Tensor q = normal(random, SPEC.heads(), scope);
      Tensor k = normal(random, SPEC.keyValueHeads(), scope);
      Tensor v = normal(random, SPEC.keyValueHeads(), scope);
      Tensor dy = normal(random, SPEC.heads(), scope);
      AttentionGradient gradient =
          new AttentionGradient(backend, SPEC, Optional.empty(), q, k, v, dy, scope);
      gradient.run(0, SEQUENCES, LENGTH, most);
      List<float[]> all = new ArrayList<>();
      all.add(HostCopies.floats(gradient.ofQueries()));
      all.add(HostCopies.floats(gradient.ofKeys(scope)));
      all.add(HostCopies.floats(gradient.ofValues(scope)));
      return all;
    }
  }

  private static Tensor normal(Random random, int heads, TensorScope scope) {
    int columns = heads * SPEC.headSize();
    float[] values = new float[SEQUENCES * LENGTH * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return scope.upload(
        MemorySegment.ofArray(values), DType.F32, SEQUENCES * LENGTH, columns, Layout.ROW_MAJOR);
  }
}
