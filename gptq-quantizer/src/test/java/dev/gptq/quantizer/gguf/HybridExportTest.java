package dev.gptq.quantizer.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.Parameters;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.run.Quantization;
import dev.gptq.quantizer.run.QuantizationPlan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written of models with Mamba-2 or Gated DeltaNet, that see, or in MXFP4, read again. */
class HybridExportTest {
  private static final String TOKENIZER =
      """
      {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
       "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}}
      """;

  @TempDir Path folder;
  @TempDir Path other;

  /** A checkpoint with a tokenizer, and with something in its configuration changed. */
  private Path checkpoint(String name, String from, String to) throws IOException {
    Path source = SharedFiles.architecture(name);
    String config = Files.readString(source.resolve("config.json"));
    assertThat(config).contains(from);
    Files.writeString(folder.resolve("config.json"), config.replace(from, to));
    Files.writeString(folder.resolve("tokenizer.json"), TOKENIZER);
    Files.copy(source.resolve("model.safetensors"), folder.resolve("model.safetensors"));
    return folder;
  }

  private Path write(Model model) throws IOException {
    return GgufExport.write(
        model,
        _ -> Optional.empty(),
        new GgufFormat(Ends.KEEP, Optional.of(Mixture.Q4_K_S), Optional.empty()),
        folder.resolve("model.gguf"),
        OptionalLong.empty());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "granite-hybrid-small",
        "nemotron-h-small",
        "qwen3-next",
        "qwen3_5-moe",
        "qwen3_5",
        "deepseek-v32"
      })
  void aFileIsReadAsTheCheckpoint(String name) throws IOException {
    try (Model theirs = Model.open(checkpoint(name, "", ""));
        Model ours = Model.open(write(theirs))) {
      assertThat(ours.config().modelType()).isEqualTo(theirs.config().modelType());
      assertThat(ours.spec().blocks()).isEqualTo(theirs.spec().blocks());
      for (String tensor : Parameters.of(theirs.spec()).tensors().keySet()) {
        float[] numbers = floats(theirs.checkpoint().require(tensor));
        assertThat(floats(ours.checkpoint().require(tensor)))
            .as(tensor)
            .containsExactly(numbers, within(1e-6f));
      }
    }
  }

  /** What chooses positions is copied, and a file tells of longer texts than are taken here. */
  @Test
  void indexersAreCopied() throws IOException {
    String tensor = "model.layers.1.self_attn.indexer.k_norm.bias";
    try (Model theirs = Model.open(checkpoint("deepseek-v32", "", ""));
        Model ours = Model.open(write(theirs))) {
      assertThat(floats(ours.checkpoint().require(tensor)))
          .isEqualTo(floats(theirs.checkpoint().require(tensor)));
      for (String key : List.of("max_position_embeddings", "index_topk", "index_n_heads")) {
        assertThat(ours.config().intValue(key)).isEqualTo(theirs.config().intValue(key));
      }
      assertThat(ours.config().find("indexer_types")).isEmpty();
    }
    try (GgufFile file = GgufFile.open(folder.resolve("model.gguf"))) {
      assertThat(file.values().truths("deepseek32.attention.indexer.types").orElseThrow())
          .containsOnly(true);
    }
  }

  /** Experts of gpt-oss as they are published, which a file of them has the same way. */
  @Test
  void numbersOfFourBitsAreKept() throws IOException {
    String expert = "model.layers.1.mlp.experts.1.up_proj";
    try (Model theirs = Model.open(checkpoint("gpt-oss-mxfp4", "", ""));
        Model ours = Model.open(write(theirs))) {
      assertThat(ours.blockType(expert)).hasValue("MXFP4");
      for (Model model : List.of(theirs, ours)) {
        assertThat(model.isMxfp4(expert)).isTrue();
        assertThat(model.isMxfp4("model.layers.1.self_attn.q_proj")).isFalse();
      }
      assertThat(floats(ours.checkpoint().require(expert + ".weight")))
          .isEqualTo(floats(theirs.checkpoint().require(expert + ".weight")));
    }
  }

  @Test
  void numbersOfFourBitsThatAreRoundedOnceMoreAreTold() throws IOException {
    Path model = checkpoint("gpt-oss-mxfp4", "", "");
    assertThat(notes(model, "gguf", Optional.empty()))
        .anyMatch(note -> note.contains("stored as MXFP4"));
    assertThat(notes(model, "gguf", Optional.of(Pattern.compile("experts"))))
        .noneMatch(note -> note.contains("MXFP4"));
    assertThat(notes(model, "gptq", Optional.empty())).noneMatch(note -> note.contains("MXFP4"));
  }

  private List<String> notes(Path model, String format, Optional<Pattern> exclude)
      throws IOException {
    QuantizationSettings settings =
        new QuantizationSettings(
            Method.RTN,
            GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32),
            Target.PLAIN,
            Curvature.INPUTS,
            true,
            Optional.empty(),
            exclude);
    try (QuantizationPlan plan =
        Quantization.of(model).settings(settings).format(format).to(other.resolve("out")).plan()) {
      return plan.notes();
    }
  }

  /** The text model, with what llama.cpp asks for to add what is seen. */
  @Test
  void aModelThatSeesIsWrittenWithoutItsSight() throws IOException {
    try (Model theirs = Model.open(checkpoint("qwen3-vl-moe", "", ""));
        Model ours = Model.open(write(theirs))) {
      assertThat(ours.config().modelType()).isEqualTo("qwen3_vl_moe_text");
      assertThat(ours.config().find("n_deepstack_layers").orElseThrow().asInt()).isEqualTo(1);
      assertThat(ours.config().section("rope_parameters").orElseThrow().intList("mrope_section"))
          .containsExactly(4, 2, 2);
      assertThat(ours.checkpoint().names())
          .hasSameSizeAs(Parameters.of(theirs.spec()).tensors().keySet());
      String expert = "layers.1.mlp.experts.3.up_proj.weight";
      assertThat(floats(ours.checkpoint().require("model." + expert)))
          .containsExactly(
              floats(theirs.checkpoint().require("model.language_model." + expert)), within(1e-6f));
    }
  }

  /** Rows of the first projection have a factor for what they give. */
  @Test
  void factorsOfFalconAreInItsMatrices() throws IOException {
    try (Model theirs = Model.open(checkpoint("falcon-h1-small", "", ""));
        Model ours = Model.open(write(theirs))) {
      assertThat(ours.config().find("ssm_multipliers")).isEmpty();
      String module = "model.layers.1.mamba.";
      float[] before = floats(theirs.checkpoint().require(module + "in_proj.weight"));
      float[] after = floats(ours.checkpoint().require(module + "in_proj.weight"));
      double[] factors = {0.5, 1.0, 0.7, 1.3, 0.9};
      int[] ends = {64, 128, 136, 144, 148};
      int part = 0;
      for (int i = 0; i < before.length; i++) {
        part += i / 32 >= ends[part] ? 1 : 0;
        float product = (float) (factors[part] * before[i]);
        assertThat(after[i]).isCloseTo(product, within(Math.abs(product) / 2048));
      }
      assertThat(floats(ours.checkpoint().require(module + "D")))
          .isEqualTo(floats(theirs.checkpoint().require(module + "D")));
      assertThat(ours.checkpoint().require("lm_head.weight").rows()).isEqualTo(96);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "falcon-h1-small, '\"hidden_act\": \"silu\"', '\"hidden_act\": \"gelu\"', hidden_act",
    "falcon-h1-small, '\"time_step_limit\": [', '\"time_step_limit\": [0.5, 2.0], \"other\": [', time_step_limit",
    "nemotron-h-small, '\"time_step_min\": 0.001', '\"time_step_min\": 0.01', time_step_min",
    "qwen3-vl-moe, '\"mrope_section\": [', '\"other\": [', mrope_section",
    "granite-hybrid-small, '\"mamba_conv_bias\": true', '\"mamba_conv_bias\": false', mamba_conv_bias",
    "phimoe, '', '', 'phimoe cannot be written as GGUF (llama.cpp takes their norms'",
    "nanochat, '', '', 'nanochat cannot be written as GGUF (llama.cpp does not have them)'",
  })
  void whatHasNoPlaceIsRefused(String name, String from, String to, String what)
      throws IOException {
    try (Model model = Model.open(checkpoint(name, from, to))) {
      assertThatThrownBy(() -> GgufModel.of(model))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(what);
    }
  }

  private static float[] floats(StoredTensor tensor) {
    StoredTensor once = tensor.once();
    float[] floats = new float[(int) once.elements()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = Elements.get(once, i);
    }
    return floats;
  }
}
