package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.gguf.GgufSource;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a run writes as GGUF is, read again, what it writes as safetensors. */
class GgufFamiliesTest {
  private static final Path FILE =
      SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");

  @TempDir Path folder;

  /** A checkpoint with a tokenizer of 320 pieces. */
  private Path model(String name) throws IOException {
    Path model = Files.createDirectory(folder.resolve("model"));
    try (GgufSource source = GgufSource.open(FILE)) {
      for (Path from : List.of(SharedFiles.architecture(name), source.folder())) {
        for (String file :
            List.of(
                "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
          if (Files.exists(from.resolve(file)) && !Files.exists(model.resolve(file))) {
            Files.copy(from.resolve(file), model.resolve(file));
          }
        }
      }
    }
    return model;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gemma3",
        "gemma4",
        "phi3-longrope",
        "apertus",
        "smollm3",
        "olmo3",
        "qwen2-moe",
        "gpt-oss",
        "gpt-neox",
        "gpt2",
        "bloom"
      })
  void familiesGoThereAndBack(String name) throws IOException {
    Path output = folder.resolve("q");
    Cli.Outcome done =
        Cli.run(
            "quantize",
            "--model",
            model(name),
            "--output",
            output,
            "--method",
            "rtn",
            "--group-size",
            "32",
            "--format",
            "gptq,gguf");
    assertThat(done.status()).as(done.err()).isZero();
    Path file = Cli.gguf(output.resolve("gguf"));
    try (Model theirs = Model.open(output.resolve("gptq"));
        Model ours = Model.open(file)) {
      PackedModules modules = theirs.quantization().orElseThrow();
      assertThat(ours.config().modelType()).isEqualTo(theirs.config().modelType());
      for (Map.Entry<String, Parameters.Parameter> parameter :
          Parameters.of(theirs.spec()).tensors().entrySet()) {
        String tensor = parameter.getKey();
        StoredTensor read = ours.checkpoint().require(tensor);
        String module = Parameters.module(tensor);
        if (tensor.endsWith(".weight") && modules.has(module)) {
          PackedMatrix matrix = modules.read(module).matrix();
          assertThat(floats(read))
              .as(tensor)
              .isEqualTo(weights(matrix, parameter.getValue().linear().orElseThrow().storage()));
        } else {
          assertThat(floats(read))
              .as(tensor)
              .containsExactly(floats(theirs.checkpoint().require(tensor)), within(1e-7f));
        }
      }
    }
  }

  private static float[] weights(PackedMatrix matrix, LinearSpec.Storage storage) {
    boolean turned = storage == LinearSpec.Storage.IN_OUT;
    int columns = turned ? matrix.rows() : matrix.columns();
    float[] weights = new float[matrix.rows() * matrix.columns()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] =
          turned
              ? matrix.weight(i % columns, i / columns)
              : matrix.weight(i / columns, i % columns);
    }
    return weights;
  }

  private static float[] floats(StoredTensor tensor) {
    StoredTensor once =
        new StoredTensor(
            tensor.name(), tensor.type(), tensor.shape(), tensor.file(), tensor.data());
    float[] floats = new float[(int) once.elements()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = Elements.get(once, i);
    }
    return floats;
  }

  @Test
  void aFileBecomesAFileWithTheSameTokens() throws IOException {
    Path output = folder.resolve("q");
    List<Object> command =
        List.of(
            "quantize",
            "--model",
            FILE,
            "--output",
            output,
            "--method",
            "rtn",
            "--bits",
            "8",
            "--group-size",
            "32",
            "--format",
            "gguf",
            "--embedding-type",
            "q8_0");
    assertThat(Cli.run(command.toArray()).status()).isZero();
    Path file = Cli.gguf(output);
    try (GgufFile written = GgufFile.open(file);
        GgufFile read = GgufFile.open(FILE)) {
      assertThat(written.tensors().get("token_embd.weight").type()).isEqualTo(GgufType.Q8_0);
      assertThat(written.tensors()).containsKey("rope_freqs.weight");
      for (String key : List.of("tokens", "token_type", "add_bos_token")) {
        assertThat(value(written, key)).as(key).isEqualTo(value(read, key));
      }
    }
    String text = "He said 3.14 it's  fine.\n\n  x é 日本";
    try (Model model = Model.open(file);
        Model source = Model.open(FILE);
        Tokenizer ours = model.tokenizer();
        Tokenizer theirs = source.tokenizer()) {
      assertThat(ours.encodeWithSpecialTokens(text))
          .isEqualTo(theirs.encodeWithSpecialTokens(text));
    }
    List<Object> again = new ArrayList<>(command);
    again.add("--overwrite");
    assertThat(Cli.run(again.toArray()).status()).isZero();
  }

  private static Object value(GgufFile file, String key) {
    String whole = "tokenizer.ggml." + key;
    return switch (key) {
      case "tokens" -> file.values().texts(whole);
      case "token_type" -> file.values().numbers(whole);
      default -> file.values().truth(whole);
    };
  }
}
