package dev.gptq.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.text.WindowLength;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelTest {
  private static final Path TINY = SharedFiles.bundled("examples/tiny");

  @TempDir private Path folder;

  @BeforeEach
  void copyConfig() throws IOException {
    Files.copy(TINY.resolve("config.json"), folder.resolve("config.json"));
  }

  private Path weights(String name) throws IOException {
    return Files.createSymbolicLink(folder.resolve(name), TINY.resolve("model.safetensors"));
  }

  @Test
  void endTokensOfTheGenerationSettingsCountToo() throws IOException {
    weights("model.safetensors");
    try (Model model = Model.open(folder)) {
      assertThat(model.spec().endTokens()).doesNotContain(1882);
    }
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [1882, 0]}");
    try (Model model = Model.open(folder)) {
      assertThat(model.spec().endTokens()).contains(1882, 0).doesNotHaveDuplicates();
    }
  }

  /** Sparse attention is computed where it is dense only. */
  @ParameterizedTest
  @CsvSource({
    "deepseek-v32, 'the index_topk of 32, beyond which attention would be sparse; give --seq-len 32'",
    "youtu, the model's context of 64; give --seq-len 64"
  })
  void whatBoundsAWindowIsSaid(String checkpoint, String words) throws IOException {
    List<String> notes = new ArrayList<>();
    try (Model model = Model.open(SharedFiles.architecture(checkpoint))) {
      WindowLength.of(OptionalInt.of(100), 16, model, notes::add);
    }
    assertThat(notes).containsExactly("windows of 100 tokens are cut to " + words);
  }

  @Test
  void weightsMayHaveTheNameThatOldSettingsSay() throws IOException {
    weights("gptq_model-4bit-128g.safetensors");
    try (Model model = Model.open(folder)) {
      assertThat(model.checkpoint().names()).isNotEmpty();
    }
    Files.writeString(folder.resolve("another.safetensors"), "");
    assertThatThrownBy(() -> Model.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContainingAll("another.safetensors", "gptq_model-4bit", "index.json");
    Files.writeString(
        folder.resolve("quantize_config.json"),
        "{\"bits\": 4, \"group_size\": 128, \"quant_method\": \"GPTQ\","
            + " \"model_file_base_name\": \"gptq_model-4bit-128g\"}");
    try (Model model = Model.open(folder)) {
      assertThat(model.quantization()).isPresent();
    }
  }

  @Test
  void aQuantizedOutputLayerIsRefusedByName() throws IOException {
    Path model = folder.resolve("model");
    try (Checkpoint source = Checkpoint.open(TINY);
        CheckpointWriter writer = CheckpointWriter.create(model, WriterOptions.DEFAULT)) {
      writer.add(source.require("model.embed_tokens.weight"));
      writer.add(
          "lm_head.qweight", StoredType.I32, new long[] {1}, MemorySegment.ofArray(new int[1]));
      writer.copyFile(TINY.resolve("config.json"));
      writer.commit();
    }
    assertThatThrownBy(() -> Model.open(model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("lm_head is quantized");
  }
}
