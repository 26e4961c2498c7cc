package dev.gptq.models.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.json.JsonConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelConfigTest {
  @TempDir Path folder;

  private ModelConfig config(String json) throws IOException {
    Files.writeString(folder.resolve("config.json"), json.replace('\'', '"'));
    return ModelConfig.read(folder);
  }

  @Test
  void givesTypedValues() throws IOException {
    ModelConfig config =
        config(
            """
            {'model_type': 'llama', 'architectures': ['A', 'B'], 'n': 3, 'x': 1e-5, 'whole': 2,
             'yes': true, 'nothing': null, 'eos_token_id': 2, 'eos_list': [2, 7],
             'layer_types': ['full_attention', 'sliding_attention'], 'limit': Infinity}\
            """);
    assertThat(config.modelType()).isEqualTo("llama");
    assertThat(config.architectures()).containsExactly("A", "B");
    assertThat(config.intValue("n")).isEqualTo(3);
    assertThat(config.anyInt("m", "n")).isEqualTo(3);
    assertThat(config.doubleValue("x")).isEqualTo(1e-5);
    assertThat(config.doubleValue("whole")).isEqualTo(2.0);
    assertThat(config.doubleValue("limit")).isInfinite();
    assertThat(config.booleanValue("yes")).isTrue();
    assertThat(config.intList("eos_token_id")).containsExactly(2);
    assertThat(config.intList("eos_list")).containsExactly(2, 7);
    assertThat(config.stringList("layer_types")).hasSize(2).contains("sliding_attention");
    assertThat(config.json().get("nothing").isNull()).isTrue();
  }

  @Test
  void aModelWithOtherPartsHasASectionForItsText() throws IOException {
    ModelConfig plain = config("{'model_type': 'llama', 'hidden_size': 8}");
    assertThat(plain.text()).isSameAs(plain);
    ModelConfig text =
        config(
                """
                {'model_type': 'any_vl', 'tie_word_embeddings': false, 'hidden_size': 3,
                 'text_config': {'model_type': 'llama', 'tie_word_embeddings': true, 'n': null}}\
                """)
            .text();
    assertThat(text.modelType()).isEqualTo("llama");
    assertThat(text.booleanValue("tie_word_embeddings")).isFalse();
    assertThat(text.has("hidden_size")).isFalse();
    assertThat(text.or(Map.of("n", 5, "m", 7)).has("n")).isFalse();
    assertThat(text.or(Map.of("n", 5, "m", 7)).intValue("m")).isEqualTo(7);
  }

  @Test
  void nullAndAbsentAreTheSame() throws IOException {
    ModelConfig config = config("{'nothing': null}");
    for (String key : new String[] {"nothing", "absent"}) {
      assertThat(config.has(key)).isFalse();
      assertThat(config.intValue(key, 5)).isEqualTo(5);
      assertThat(config.optionalString(key)).isEmpty();
      assertThat(config.intList(key)).isEmpty();
      assertThatThrownBy(() -> config.intValue(key))
          .isInstanceOf(BadInputException.class)
          .hasMessage(
              "%s: '%s' is missing; it should be an integer"
                  .formatted(folder.resolve("config.json"), key));
    }
  }

  @Test
  void wrongTypesNameKeyAndExpectation() throws IOException {
    ModelConfig config =
        config("{'hidden_size': '64', 'big': 3000000000, 'half': 0.5, 'ids': [1, 'x'], 's': {}}");
    assertThatThrownBy(() -> config.intValue("hidden_size"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("config.json: 'hidden_size' should be an integer but is \"64\"");
    assertThatThrownBy(() -> config.intValue("big", 1)).hasMessageContaining("3000000000");
    assertThatThrownBy(() -> config.intValue("half", 1)).hasMessageContaining("0.5");
    assertThatThrownBy(() -> config.intList("ids")).hasMessageContaining("list of integers");
    assertThatThrownBy(() -> config.stringValue("s")).hasMessageContaining("should be a text");
    assertThatThrownBy(() -> config.section("s").orElseThrow().intValue("bits"))
        .hasMessageContaining("'s.bits' is missing");
  }

  @Test
  void brokenFilesAreReported() throws IOException {
    assertThatThrownBy(() -> ModelConfig.read(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("config.json is missing");
    assertThatThrownBy(() -> ModelConfig.read(folder.resolve("small.gguf")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("small.gguf does not exist; give the folder");
    Path text = Files.writeString(folder.resolve("text.txt"), "no model");
    assertThatThrownBy(() -> ModelConfig.read(text))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("text.txt is not a model that can be read; give the folder");
    assertThatThrownBy(() -> config("{'a': "))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("not valid JSON");
    assertThatThrownBy(() -> config("[1]")).hasMessageContaining("holds no JSON object");
    assertThatThrownBy(() -> config("")).hasMessageContaining("holds no JSON object");
    assertThatThrownBy(() -> config("{'a': " + "[".repeat(1_000_000)))
        .isInstanceOf(BadInputException.class);
  }

  @Test
  void headDimIsGivenOrFollowsFromTheHeads() throws IOException {
    assertThat(config("{'head_dim': 16, 'hidden_size': 64, 'num_attention_heads': 8}").headDim())
        .isEqualTo(16);
    assertThat(config("{'hidden_size': 64, 'num_attention_heads': 8}").headDim()).isEqualTo(8);
    assertThat(config("{'n_embd': 64, 'n_head': 4}").headDim()).isEqualTo(16);
    ModelConfig odd = config("{'hidden_size': 65, 'num_attention_heads': 8}");
    assertThatThrownBy(odd::headDim).hasMessageContaining("8 attention heads do not divide");
  }

  @Test
  void theOldAndTheNewFormOfRotaryParametersMeanTheSame() throws IOException {
    Path model = SharedFiles.architecture("llama-gqa-rope3");
    RopeParameters current = ModelConfig.read(model).rope();
    RopeParameters old = ModelConfig.of(JsonConfig.read(model.resolve("config.v4.json"))).rope();
    assertThat(old).isEqualTo(current);
    assertThat(current.type()).isEqualTo("llama3");
    assertThat(current.factor()).isEqualTo(8);
    assertThat(current.originalMaxPosition()).hasValue(32);
  }

  @Test
  void everyFormOfRotaryParametersIsRead() throws IOException {
    RopeParameters none = config("{}").rope();
    assertThat(none.type()).isEqualTo("default");
    assertThat(none.theta()).isEqualTo(10000);
    assertThat(none.factor()).isOne();

    RopeParameters neox = config("{'rotary_emb_base': 5e4, 'rotary_pct': 0.25}").rope();
    assertThat(neox.theta()).isEqualTo(50000);
    assertThat(neox.partialRotaryFactor()).isEqualTo(0.25);

    RopeParameters linear =
        config("{'rope_theta': 1e6, 'rope_scaling': {'type': 'linear', 'factor': 4.0}}").rope();
    assertThat(linear.theta()).isEqualTo(1e6);
    assertThat(linear.type()).isEqualTo("linear");
    assertThat(linear.factor()).isEqualTo(4);

    RopeParameters longrope =
        config(
                """
                {'original_max_position_embeddings': 4096, 'rope_scaling':
                 {'type': 'su', 'short_factor': [1, 1.5], 'long_factor': [2.0, 3]}}\
                """)
            .rope();
    assertThat(longrope.type()).isEqualTo("longrope");
    assertThat(longrope.shortFactor()).containsExactly(1.0, 1.5);
    assertThat(longrope.longFactor()).containsExactly(2.0, 3.0);
    assertThat(longrope.originalMaxPosition()).hasValue(4096);
  }

  @Test
  void layersOfDifferentTypesHaveTheirOwnRotaryParameters() throws IOException {
    ModelConfig config =
        config(
            """
            {'rope_parameters': {
              'full_attention': {'rope_theta': 1e6, 'rope_type': 'linear', 'factor': 8},
              'sliding_attention': {'rope_theta': 1e4, 'rope_type': 'default'}}}\
            """);
    assertThat(config.rope("full_attention").theta()).isEqualTo(1e6);
    assertThat(config.rope("full_attention").factor()).isEqualTo(8);
    assertThat(config.rope("sliding_attention").theta()).isEqualTo(1e4);
  }
}
