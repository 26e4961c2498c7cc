package dev.gptq.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.gguf.GgufTensor;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.gguf.GgufWriter;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A file of llama.cpp's converter and quantizer, and small ones of our own. */
class GgufSourceTest {
  private static final Path FILE =
      SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");

  @TempDir Path folder;

  @Test
  void theConfigurationIsThatOfTheCheckpoint() throws IOException {
    ModelConfig original = ModelConfig.read(SharedFiles.architecture("llama-gqa-rope3"));
    Path side;
    try (Model model = Model.open(FILE)) {
      side = model.folder();
      assertThat(model.path()).isEqualTo(FILE);
      assertThat(model.warnings()).isEmpty();
      assertThat(model.config().modelType()).isEqualTo("llama");
      for (String key : List.of("head_dim", "rms_norm_eps", "mlp_bias", "tie_word_embeddings")) {
        assertThat(model.config().find(key)).isEqualTo(original.find(key));
      }
      assertThat(model.config().rope()).isEqualTo(original.rope());
      assertThat(model.checkpoint().require("model.layers.2.self_attn.q_proj.bias").shape())
          .containsExactly(64L);
      assertThat(ModelConfig.read(side).json()).hasToString(model.config().json().toString());
    }
    assertThat(side).doesNotExist();
  }

  /** Ids are those of llama.cpp. */
  @Test
  void sentencePieceSplitsAsLlamaCpp() throws IOException {
    try (Model model = Model.open(FILE);
        Tokenizer tokenizer = model.tokenizer()) {
      assertThat(tokenizer.encodeWithSpecialTokens("He said 3.14 it's  fine.\n\n  x é 日本"))
          .containsExactly(
              289, 76, 290, 263, 292, 297, 299, 289, 55, 311, 53, 56, 288, 315, 296, 289, 281, 265,
              290, 311, 14, 14, 289, 289, 124, 289, 199, 173, 289, 234, 155, 169, 234, 160, 176);
      assertThat(tokenizer.encodeWithSpecialTokens("the old man and the sea"))
          .containsExactly(264, 271, 300, 299, 282, 292, 294, 275, 264, 263, 290, 292);
      assertThat(tokenizer.encodeWithSpecialTokens(" a  b")).containsExactly(289, 262, 289, 273);
      assertThat(tokenizer.decode(tokenizer.encode("  a b"))).isEqualTo("  a b");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt-2", "smollm", "qwen2", "llama-bpe", "tekken", "gpt-4o"})
  void eachWayOfSplittingIsFoundByItsForm(String name) {
    Splits.Split split = Splits.find(name).orElseThrow();
    assertThat(Splits.name(split.json(), split.whole())).hasValue(name);
    assertThat(Splits.name(split.json(), !split.whole()))
        .isNotEqualTo(Splits.name(split.json(), split.whole()));
  }

  @Test
  void rowsOfHeadsGoThereAndBack() {
    assertThat(IntStream.range(0, 16).map(row -> GgufRows.inCheckpoint(row, 8)).toArray())
        .containsExactly(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    assertThat(
            IntStream.range(0, 16)
                .map(row -> GgufRows.inFile(GgufRows.inCheckpoint(row, 8), 8))
                .toArray())
        .containsExactly(IntStream.range(0, 16).toArray());
  }

  @ParameterizedTest
  @CsvSource({
    "mamba, the architecture is 'mamba'",
    "qwen2, has no tensor 'token_embd.weight'",
  })
  void saysWhatCannotBeRead(String architecture, String message) throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", architecture);
    Path file = folder.resolve("m.gguf");
    GgufWriter.write(file, metadata, List.of(), false);
    assertThatThrownBy(() -> Model.open(file).close())
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(message);
  }

  /** llama.cpp takes the first half of an expert's rows for its gate. */
  @Test
  void mergedProjectionsOfExpertsAreTwo() throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "qwen3moe");
    Map.of(
            "block_count", 1,
            "embedding_length", 2,
            "attention.head_count", 1,
            "attention.head_count_kv", 1,
            "attention.key_length", 2,
            "expert_count", 2,
            "expert_used_count", 1,
            "expert_feed_forward_length", 1)
        .forEach((key, value) -> metadata.put("qwen3moe." + key, value.intValue()));
    metadata.put("tokenizer.ggml.model", "gpt2");
    metadata.put("tokenizer.ggml.pre", "gpt-2");
    metadata.putTexts("tokenizer.ggml.tokens", List.of("a", "b", "ab"));
    metadata.putInts("tokenizer.ggml.token_type", List.of(1, 1, 1));
    metadata.putTexts("tokenizer.ggml.merges", List.of("a b"));
    Path file = folder.resolve("m.gguf");
    GgufWriter.write(
        file,
        metadata,
        List.of(
            counted("token_embd.weight", 3, 2), counted("blk.0.ffn_gate_up_exps.weight", 2, 2, 2)),
        false);
    try (GgufSource source = GgufSource.open(file)) {
      String expert = "model.layers.0.mlp.experts.1.";
      assertThat(row(source, expert + "gate_proj.weight")).containsExactly(4, 5);
      assertThat(row(source, expert + "up_proj.weight")).containsExactly(6, 7);
      assertThat(row(source, "model.layers.0.mlp.experts.0.up_proj.weight")).containsExactly(2, 3);
    }
  }

  private static GgufTensor counted(String name, long... shape) {
    float[] numbers = new float[(int) LongStream.of(shape).reduce(1, Math::multiplyExact)];
    IntStream.range(0, numbers.length).forEach(i -> numbers[i] = i);
    return new GgufTensor(
        name,
        GgufType.F32,
        LongStream.of(shape).boxed().collect(ImmutableList.toImmutableList()),
        ImmutableList.of(() -> Elements.toSegment(numbers)));
  }

  private static float[] row(GgufSource source, String tensor) {
    StoredTensor stored = source.checkpoint().require(tensor);
    assertThat(stored.shape()).containsExactly(1L, 2L);
    StoredTensor decoded = stored.once();
    return new float[] {Elements.get(decoded, 0), Elements.get(decoded, 1)};
  }

  @Test
  void aTokenizerThatIsNotKnownIsRefused() throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "qwen2");
    metadata.put("qwen2.attention.key_length", 2);
    metadata.put("tokenizer.ggml.model", "gpt2");
    metadata.put("tokenizer.ggml.pre", "guess");
    metadata.putTexts("tokenizer.ggml.tokens", List.of("a"));
    Path file = folder.resolve("m.gguf");
    GgufTensor embedding =
        new GgufTensor(
            "token_embd.weight",
            GgufType.F32,
            ImmutableList.of(1L, 2L),
            ImmutableList.of(() -> Elements.toSegment(new float[] {1, 2})));
    GgufWriter.write(file, metadata, List.of(embedding), false);
    assertThatThrownBy(() -> Model.open(file).close())
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("how the tokenizer 'guess' splits texts is not known here");
    assertThat(GgufFile.is(file)).isTrue();
    assertThat(GgufFile.is(Files.createDirectory(folder.resolve("d")))).isFalse();
  }
}
