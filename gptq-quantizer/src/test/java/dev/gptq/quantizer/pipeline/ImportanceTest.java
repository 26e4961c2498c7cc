package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.backend.Rehearsal;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.TensorScope;
import org.junit.jupiter.api.Test;

final class ImportanceTest {
  /** More than the columns of the largest square that an array holds, 46340. */
  private static final int MANY = 50_000;

  private static final GridSpec GRID = GridSpec.of(Scheme.SYMMETRIC, 4);

  private static float[] means(int columns) {
    float[] means = new float[columns];
    for (int i = 0; i < columns; i++) {
      means[i] = i * 0.5f;
    }
    return means;
  }

  @Test
  void isADiagonal() {
    Importance importance =
        new Importance(
            ImmutableMap.of(
                "some",
                new Importance.Columns(means(20), 4),
                "none",
                new Importance.Columns(new float[3], 0)));
    assertThat(importance.bytes()).isEqualTo(23 * Float.BYTES);
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), _ -> {});
        TensorScope scope = backend.newScope()) {
      Hessian hessian = importance.hessian("some", backend, scope).orElseThrow();
      assertThat(Damping.of(GptqOptions.of(GRID, -1), hessian.tokens(), MANY / 2).damping())
          .isEqualTo(GptqOptions.of(GRID, -1).damping());
      assertThat(hessian.meanSquares()).containsExactly(means(20));
      assertThat(importance.hessian("none", backend, scope)).isEmpty();
      assertThat(importance.hessian("other", backend, scope)).isEmpty();
    }
  }

  @Test
  void theHeapHoldsNoSquare() {
    Importance importance =
        new Importance(ImmutableMap.of("wide", new Importance.Columns(means(MANY), 4)));
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), _ -> {});
        Rehearsal rehearsal = backend.rehearsal();
        TensorScope scope = rehearsal.newScope()) {
      assertThat(importance.hessian("wide", rehearsal, scope).orElseThrow().columns())
          .isEqualTo(MANY);
      assertThat(rehearsal.memory().peak()).isGreaterThan(4L * MANY * MANY);
    }
  }
}
