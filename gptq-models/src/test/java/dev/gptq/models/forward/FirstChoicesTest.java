package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.Step;
import dev.gptq.models.family.TinyConfigs;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class FirstChoicesTest {
  @TempDir private Path folder;

  /** With scores of all kinds, and groups of experts. */
  @ParameterizedTest
  @ValueSource(strings = {"mixtral", "qwen3-moe", "deepseek-v3"})
  void theyAreMadeUntilNobodyNeedsThem(String architecture) throws IOException {
    try (Model model =
        Model.open(
            RandomCheckpoint.write(
                folder.resolve(architecture), TinyConfigs.json(architecture), 3))) {
      Step.Route route =
          model.spec().blocks().stream()
              .flatMap(block -> block.steps().stream())
              .filter(Step.Route.class::isInstance)
              .map(Step.Route.class::cast)
              .findFirst()
              .orElseThrow();
      AtomicInteger asked = new AtomicInteger();
      FirstChoices.make(route, () -> asked.incrementAndGet() == 3);
      assertThat(asked).hasValue(3);
    }
  }
}
