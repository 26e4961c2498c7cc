package dev.gptq.quantizer.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Families;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;

class GemmaLayersTest {

  private static GemmaLayers layers(Map<String, ?> more) throws IOException {
    ModelConfig config =
        ModelConfig.of(ModelConfig.read(SharedFiles.architecture("gemma4-small")).with(more));
    return new GemmaLayers(Families.describe(config), config);
  }

  /** A quarter of the pairs of a head of 32 channels turns. */
  @Test
  void channelsThatStandStillAreDividedByMuch() throws IOException {
    GemmaLayers layers = layers(Map.of());
    assertThat(layers.refusal()).isEmpty();
    float[] divisors = layers.divisors();
    assertThat(divisors).hasSize(16);
    for (int c = 0; c < divisors.length; c++) {
      assertThat(divisors[c]).isEqualTo(c < 4 ? 1f : 1e30f);
    }
  }

  @Test
  void whatLlamaCppHasNoPlaceForIsRefused() throws IOException {
    assertThat(layers(Map.of("hidden_size_per_layer_input", 8, "vocab_size_per_layer_input", 50)))
        .extracting(given -> given.refusal().orElse(""))
        .isEqualTo("vocab_size_per_layer_input is not vocab_size");
    Map<String, Object> plain = Map.of("rope_type", "default", "rope_theta", 1e4);
    assertThat(
            layers(
                    Map.of(
                        "rope_parameters",
                        Map.of("full_attention", plain, "sliding_attention", plain)))
                .refusal())
        .contains("rope_parameters of full_attention are not proportional ones");
  }
}
