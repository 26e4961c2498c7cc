package dev.gptq.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Whatever a checkpoint lacks is known when it is opened. */
class CheckpointCheckTest {
  @TempDir Path folder;

  private Path written(String architecture) throws IOException {
    return RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json(architecture), 3);
  }

  static List<String> architectures() {
    return List.copyOf(TinyConfigs.ALL.keySet());
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void everyTensorIsMissed(String architecture) throws IOException {
    Path model = written(architecture);
    assertThatCode(() -> open(model)).doesNotThrowAnyException();
    List<String> names;
    try (Checkpoint checkpoint = Checkpoint.open(model)) {
      names = List.copyOf(checkpoint.names());
    }
    for (String name : names) {
      Path less = changed(model, name, null);
      assertThatThrownBy(() -> open(less))
          .as("without " + name)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("'" + name + "'");
    }
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void everyShapeAndTypeIsHeldAgainstTheConfiguration(String architecture) throws IOException {
    Path model = written(architecture);
    try (Checkpoint checkpoint = Checkpoint.open(model)) {
      for (String name : checkpoint.names()) {
        StoredTensor tensor = checkpoint.require(name);
        List<Long> shape = new ArrayList<>(tensor.shape());
        shape.set(0, shape.getFirst() + 1);
        Path other = changed(model, tensor.name(), new Zeros(StoredType.F16, shape));
        assertThatThrownBy(() -> open(other))
            .as("shape of " + tensor.name())
            .isInstanceOf(BadInputException.class)
            .hasMessageContaining(tensor.name())
            .hasMessageContaining(ModelConfig.FILE)
            .hasMessageContaining(tensor.shape().toString());
        Path whole = changed(model, tensor.name(), new Zeros(StoredType.I32, tensor.shape()));
        assertThatThrownBy(() -> open(whole))
            .as("type of " + tensor.name())
            .isInstanceOf(BadInputException.class)
            .hasMessageContaining(tensor.name())
            .hasMessageContaining("I32");
      }
    }
  }

  @Test
  void tensorsThatNobodyReadsAreNoHindrance() throws IOException {
    Path model = written("llama");
    Path more = changed(model, "model.vision.weight", zeros(StoredType.I8, 2L, 2L));
    try (Model opened = Model.open(more)) {
      assertThat(opened.warnings())
          .singleElement()
          .asString()
          .contains("1 of", "model.vision.weight", "left alone");
    }
    Path buffers =
        changed(model, "model.layers.0.self_attn.rotary_emb.inv_freq", zeros(StoredType.F32, 4L));
    try (Model opened = Model.open(buffers)) {
      assertThat(opened.warnings()).isEmpty();
    }
  }

  @Test
  void shallowerConfigurationIsOfAnotherModel() throws IOException {
    Path model = written("llama");
    edit(model, config -> config.put("num_hidden_layers", 1));
    assertThatThrownBy(() -> open(model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("1 blocks deep")
        .hasMessageContaining("model.layers.1.");
    edit(model, config -> config.put("num_nextn_predict_layers", 1));
    try (Model opened = Model.open(model)) {
      assertThat(opened.warnings()).hasSize(1);
    }
  }

  @Test
  void tokensBeyondTheEmbeddingAreNamed() throws IOException {
    Path model = written("llama");
    Files.writeString(
        model.resolve("tokenizer.json"),
        """
        {"added_tokens": [{"id": 96, "content": "captain", "special": false}],
         "model": {"type": "BPE", "vocab": {"a": 0, "b": 95}}}
        """);
    try (Model opened = Model.open(model)) {
      assertThat(opened.warnings())
          .singleElement()
          .asString()
          .contains("tokenizer.json", "'captain'", "96");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama     | num_hidden_layers       | 2147483647",
        "llama     | num_hidden_layers       | 1000000",
        "llama     | num_hidden_layers       | 0",
        "llama     | num_hidden_layers       | -1",
        "llama     | hidden_size             | 2147483647",
        "llama     | hidden_size             | 0",
        "llama     | intermediate_size       | -1",
        "llama     | intermediate_size       | 97",
        "llama     | vocab_size              | 5",
        "llama     | vocab_size              | 0",
        "llama     | num_attention_heads     | 2147483647",
        "llama     | num_attention_heads     | 3",
        "llama     | num_attention_heads     | 2",
        "llama     | num_key_value_heads     | 0",
        "llama     | num_key_value_heads     | 3",
        "llama     | head_dim                | -2",
        "llama     | head_dim                | -1",
        "llama     | head_dim                | 2147483647",
        "llama     | max_position_embeddings | 2147483647",
        "llama     | max_position_embeddings | -2147483648",
        "llama     | max_position_embeddings | 1",
        "llama     | partial_rotary_factor   | 4",
        "llama     | partial_rotary_factor   | 0",
        "llama     | attention_bias          | true",
        "llama     | tie_word_embeddings     | 7",
        "mistral   | sliding_window          | -3",
        "qwen2     | num_hidden_layers       | 3",
        "qwen3     | head_dim                | 15",
        "gemma2    | num_hidden_layers       | 2147483647",
        "mixtral   | num_local_experts       | 0",
        "mixtral   | num_local_experts       | 2147483647",
        "mixtral   | num_local_experts       | 16000",
        "mixtral   | num_experts_per_tok     | 0",
        "mixtral   | num_experts_per_tok     | 99",
        "qwen3-moe | decoder_sparse_step     | 0",
        "qwen3-moe | num_experts_per_tok     | 99",
        "opt       | num_attention_heads     | 3",
        "opt       | max_position_embeddings | 2147483647",
        "bloom     | n_head                  | 0",
        "bloom     | n_layer                 | 2147483647",
        "gpt2      | n_head                  | 3",
        "gpt2      | n_embd                  | 1073741824",
        "gpt2      | n_positions             | 0",
        "gpt-neox  | num_attention_heads     | 3",
        "gpt-neox  | rotary_pct              | 4"
      })
  @Timeout(10)
  void configurationsThatDoNotFitAreRefusedAtOnce(String architecture, String key, String value)
      throws IOException {
    Path model = written(architecture);
    edit(model, config -> config.set(key, JsonMapper.shared().readTree(value)));
    assertThatThrownBy(() -> open(model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(ModelConfig.FILE);
  }

  @Test
  void untiedHeadMustBeThere() throws IOException {
    Path model = written("opt");
    edit(model, config -> config.put("tie_word_embeddings", false));
    assertThatThrownBy(() -> open(model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("lm_head.weight");
  }

  private void edit(Path model, Consumer<ObjectNode> change) throws IOException {
    ObjectNode config = ModelConfig.read(model).json();
    change.accept(config);
    Files.writeString(model.resolve(ModelConfig.FILE), config.toString());
  }

  private static void open(Path model) throws IOException {
    Model.open(model).close();
  }

  /** Type and shape of a tensor of zeros. */
  private record Zeros(StoredType type, List<Long> shape) {
    long bytes() {
      return shape.stream().mapToLong(Long::longValue).reduce(type.bytes(), Math::multiplyExact);
    }
  }

  private static Zeros zeros(StoredType type, Long... shape) {
    return new Zeros(type, List.of(shape));
  }

  /**
   * The same model with other tensors; null for none. Only headers are checked, so all are zero.
   */
  private Path changed(Path model, String changed, Zeros change) throws IOException {
    Map<String, Zeros> tensors = new TreeMap<>();
    try (Checkpoint source = Checkpoint.open(model)) {
      for (String name : source.names()) {
        StoredTensor tensor = source.require(name);
        tensors.put(name, new Zeros(tensor.type(), tensor.shape()));
      }
    }
    if (change == null) {
      tensors.remove(changed);
    } else {
      tensors.put(changed, change);
    }
    ObjectNode header = JsonMapper.shared().createObjectNode();
    long end = 0;
    for (Map.Entry<String, Zeros> tensor : tensors.entrySet()) {
      ObjectNode entry = header.putObject(tensor.getKey());
      entry.put("dtype", tensor.getValue().type().name());
      tensor.getValue().shape().forEach(entry.withArray("shape")::add);
      entry.putArray("data_offsets").add(end).add(end + tensor.getValue().bytes());
      end += tensor.getValue().bytes();
    }
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate(Math.toIntExact(Long.BYTES + json.length + end))
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length)
            .put(json);
    Path copy = Files.createDirectories(folder.resolve("changed"));
    Files.copy(
        model.resolve(ModelConfig.FILE),
        copy.resolve(ModelConfig.FILE),
        StandardCopyOption.REPLACE_EXISTING);
    Files.write(copy.resolve(Checkpoint.SINGLE_FILE), file.array());
    return copy;
  }
}
