package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ModelCurvatureTest {

  @Test
  void fewPositionsDrawSeveralLabels() {
    assertThat(ModelCurvature.draws(1)).isEqualTo(4);
    assertThat(ModelCurvature.draws(20_000)).isEqualTo(3);
    assertThat(ModelCurvature.draws(1 << 16)).isEqualTo(1);
    assertThat(ModelCurvature.draws(1 << 30)).isEqualTo(1);
  }
}
