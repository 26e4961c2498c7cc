package dev.gptq.formats.gptq;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.node.StringNode;

class GptqConfigTest {
  private static final ModuleSettings FOUR_BITS = new ModuleSettings(4, 128, true, false);

  @TempDir Path folder;

  private Optional<PackedModules> find(String config, Optional<String> quantizeConfig)
      throws IOException {
    Files.writeString(folder.resolve("config.json"), config.replace('\'', '"'));
    if (quantizeConfig.isPresent()) {
      Files.writeString(
          folder.resolve("quantize_config.json"), quantizeConfig.get().replace('\'', '"'));
    }
    Path weights = folder.resolve("model.safetensors");
    if (!Files.exists(weights)) {
      byte[] header =
          "{\"a\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[0,0]}} ".getBytes(UTF_8);
      ByteBuffer file = ByteBuffer.allocate(8 + header.length).order(ByteOrder.LITTLE_ENDIAN);
      Files.write(weights, file.putLong(header.length).put(header).array());
    }
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      return Formats.open(JsonConfig.read(folder.resolve("config.json")), folder, checkpoint);
    }
  }

  private GptqConfig parse(String section) throws IOException {
    Path file = folder.resolve("config.json");
    String config = "{'quantization_config': " + section + "}";
    Files.writeString(file, config.replace('\'', '"'));
    return GptqConfig.of(JsonConfig.read(file).section(Formats.KEY).orElseThrow());
  }

  @Test
  void bothPlacesAreReadAndTheModelConfigurationComesFirst() throws IOException {
    assertThat(find("{'model_type': 'llama'}", Optional.empty())).isEmpty();
    PackedModules side = find("{}", Optional.of("{'bits': 3, 'group_size': 64}")).orElseThrow();
    assertThat(side.base()).isEqualTo(new ModuleSettings(3, 64, true, false));
    String section = "{'bits': 8, 'group_size': -1, 'sym': false, 'desc_act': true}";
    PackedModules both =
        find("{'quantization_config': " + section + "}", Optional.of("{'bits': 2}")).orElseThrow();
    assertThat(both.base()).isEqualTo(new ModuleSettings(8, -1, false, true));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "{'bits': 4, 'group_size': 128}                                  | V1",
        "{'w_bit': 4, 'q_group_size': 128, 'zero_point': false}          | V1",
        "{'wbits': 4, 'groupsize': 128, 'version': 'gptq'}               | V1",
        "{'bits': 4, 'group_size': 128, 'format': 'gptq_v2'}             | V2",
        "{'bits': 4, 'group_size': 128, 'checkpoint_format': 'gptq_v2'}  | V2",
        "{'bits': 4, 'group_size': 128, 'quant_method': 'gptq', 'damp_percent': 0.1} | V1",
        "{'bits': 4, 'group_size': 128, 'sym': null, 'dynamic': null, 'method': 'gptq'} | V1",
      })
  void olderNamesMeanTheSame(String json, Version version) throws IOException {
    GptqConfig config = parse(json);
    assertThat(config.settings()).isEqualTo(FOUR_BITS);
    assertThat(config.format()).isEqualTo(version);
  }

  @Test
  void aZeroPointMeansAnAsymmetricGrid() throws IOException {
    assertThat(parse("{'bits': 4, 'group_size': 128, 'zero_point': true}").settings().sym())
        .isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "{'group_size': 128}                                         | 'quantization_config.bits' or 'w_bit'",
        "{'bits': 9, 'group_size': 128}                              | bits must be between 2 and 8",
        "{'bits': 4}                                                 | 'quantization_config.group_size'",
        "{'bits': 4, 'group_size': 0}                                | positive or -1",
        "{'bits': 4, 'group_size': 128, 'quant_method': 'awq'}       | quantized with awq",
        "{'bits': 4, 'group_size': 128, 'format': 'gptq_p'}          | format 'gptq_p'",
        "{'bits': 4, 'group_size': 128, 'is_marlin_format': true}    | marlin",
        "{'bits': 4, 'group_size': 128, 'pack_dtype': 'int8'}        | packed in int8",
        "{'bits': 4, 'group_size': 128, 'dynamic': {'q': {'bits': 9}}} | bits in q must be",
        "{'bits': '4', 'group_size': 128}                            | should be an integer",
      })
  void whatCannotBeReadIsRefused(String json, String message) {
    assertThatThrownBy(() -> parse(json))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(folder.resolve("config.json").toString())
        .hasMessageContaining(message);
  }

  @Test
  void rulesSkipAndChangeModulesFromTheBeginningOfTheName() throws IOException {
    GptqConfig config =
        parse(
            """
            {'bits': 4, 'group_size': 128, 'dynamic': {
               'model\\\\.layers\\\\.1\\\\.': {'bits': 8, 'desc_act': true},
               '+:.*down_proj': {'group_size': 32, 'sym': false},
               'down_proj': {'bits': 2},
               '-:.*layers\\\\.2.*up_proj': {}}}\
            """);
    assertThat(config.settingsFor("model.layers.0.mlp.up_proj")).contains(FOUR_BITS);
    assertThat(config.settingsFor("model.layers.1.mlp.down_proj"))
        .as("the first rule that matches")
        .contains(new ModuleSettings(8, 128, true, true));
    assertThat(config.settingsFor("model.layers.11.mlp.down_proj"))
        .contains(new ModuleSettings(4, 32, false, false));
    assertThat(config.settingsFor("model.layers.2.mlp.up_proj")).isEmpty();
    assertThat(config.settingsFor("down_proj").orElseThrow().bits())
        .as("the more general rule comes first")
        .isEqualTo(4);
  }

  @Test
  void aRuleThatIsNoRegularExpressionIsReported() throws IOException {
    GptqConfig config = parse("{'bits': 4, 'group_size': 128, 'dynamic': {'a(': {'bits': 8}}}");
    assertThatThrownBy(() -> config.settingsFor("a"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'a('");
  }

  @Test
  void bothNamesOfEachKeyAreWritten() {
    GptqConfig config =
        GptqConfig.of(FOUR_BITS, Version.V2).withMeta("damp_percent", StringNode.valueOf("x"));
    assertThat(config.toJson().toString())
        .matches(
            """
            \\{"bits":4,"group_size":128,"desc_act":false,"sym":true,"lm_head":false,\
            "quant_method":"gptq","method":"gptq","checkpoint_format":"gptq_v2",\
            "format":"gptq_v2","pack_dtype":"int32",\
            "meta":\\{"quantizer":\\["gptq-java:\\d[^"$]*"\\],"damp_percent":"x"\\}\\}\
            """);
  }

  @Test
  void whatIsWrittenIsReadAgain() throws IOException {
    GptqConfig config =
        GptqConfig.of(new ModuleSettings(3, -1, false, true), Version.V2)
            .withDynamic(
                ImmutableMap.of(
                    "-:lm_head",
                    ModuleOverride.NONE,
                    "model.layers.3",
                    ModuleOverride.of(FOUR_BITS),
                    "model.layers.4",
                    new ModuleOverride(
                        OptionalInt.of(8),
                        OptionalInt.empty(),
                        Optional.empty(),
                        Optional.empty())));
    assertThat(parse(config.toJson().toString())).isEqualTo(config);
    assertThat(find("{}", Optional.of(config.toJson().toString())).orElseThrow().settings())
        .isEqualTo(config.toJson());
  }
}
