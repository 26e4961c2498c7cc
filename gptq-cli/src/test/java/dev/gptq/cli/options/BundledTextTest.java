package dev.gptq.cli.options;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.models.Model;
import dev.gptq.quantizer.run.Calibration;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class BundledTextTest {

  /** A model without any chat template gets as many windows as it wants, and nothing is said. */
  @Test
  void theMixtureSuitsAnyModel() throws IOException {
    System.setProperty("gptq.home", System.getProperty("gptq.root"));
    try (Model model = Model.open(Home.model())) {
      List<int[]> windows =
          Calibration.of(Home.calibration())
              .withSamples(16)
              .withLength(256)
              .draws(
                  model,
                  16,
                  1,
                  note -> {
                    throw new AssertionError(note);
                  })
              .getFirst();
      assertThat(windows).hasSize(16).allSatisfy(window -> assertThat(window).hasSize(256));
      assertThat(windows.stream().map(Arrays::toString).distinct().count()).isEqualTo(16);
    }
  }
}
