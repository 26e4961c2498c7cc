package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MlxWindowsTest {
  private static Optional<String> refusals(String type, String windows) {
    ImmutableList<Integer> layers =
        Splitter.on(' ')
            .splitToStream(windows)
            .map(Integer::valueOf)
            .collect(ImmutableList.toImmutableList());
    return Server.refusals(
        "mlx", new Served(type, ImmutableSet.of(), false, false, false, false, false, layers));
  }

  @ParameterizedTest
  @CsvSource({
    "phi3, 0 0",
    "mistral, 8 0 8",
    "exaone4, 8 8 0 0",
    "gemma3_text, 8 8 0 8",
    "cohere2, 8 0 8 0",
    "gemma4_text, 0 8 8 0"
  })
  void runs(String type, String windows) {
    assertThat(refusals(type, windows)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "phi3, 8 8, has no sliding window for phi3",
    "qwen2, 0 8, has no sliding window for qwen2",
    "mistral, 8 8, in all layers",
    "gemma3_text, 8 8 0 0, at equal distances",
    "gemma3_text, 8 8, at equal distances",
    "cohere2, 0 8 8, at equal distances"
  })
  void computesOtherwise(String type, String windows, String why) {
    assertThat(refusals(type, windows).orElseThrow())
        .startsWith("format mlx: mlx-lm ")
        .contains(why, "computes longer texts otherwise");
  }
}
