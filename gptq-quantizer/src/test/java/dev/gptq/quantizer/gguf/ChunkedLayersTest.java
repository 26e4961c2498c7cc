package dev.gptq.quantizer.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Families;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChunkedLayersTest {

  private static Optional<String> refusal(Map<String, ?> more) throws IOException {
    ModelConfig config =
        ModelConfig.of(
            ModelConfig.read(SharedFiles.architecture("llama4-small"))
                .with(Map.of("attention_chunk_size", 8192)));
    ModelConfig changed = ModelConfig.of(config.with(more));
    return ChunkedLayers.refusal(Families.describe(changed), changed);
  }

  @ParameterizedTest
  @CsvSource({
    "rms_norm_eps, 1, ''",
    "attention_chunk_size, 16, layer_types",
    "attn_scale, 2, attn_temperature_tuning",
    "num_local_experts, 128, use_qk_norm is true",
    "interleave_moe_layer_step, 3, moe_layers",
  })
  void whatLlamaCppTakesForGrantedIsAsked(String key, int value, String refusal)
      throws IOException {
    Optional<String> found = refusal(Map.of(key, value));
    assertThat(found.orElse("")).contains(refusal);
    assertThat(found.isEmpty()).isEqualTo(refusal.isEmpty());
  }
}
