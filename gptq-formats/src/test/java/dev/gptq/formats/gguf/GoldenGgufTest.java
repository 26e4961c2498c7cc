package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Files of llama.cpp, and what its Python package makes of every tensor in them. */
class GoldenGgufTest {
  private static String hash(StoredTensor tensor) {
    Hasher hasher = Hashing.sha256().newHasher();
    StoredTensor once =
        new StoredTensor(
            tensor.name(), tensor.type(), tensor.shape(), tensor.file(), tensor.data());
    for (long i = 0; i < once.elements(); i++) {
      hasher.putInt(Float.floatToRawIntBits(Elements.get(once, i)));
    }
    return hasher.hash().toString();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-headdim-Q4_0",
        "llama-headdim-Q4_1",
        "llama-headdim-Q5_0",
        "llama-headdim-Q5_1",
        "llama-headdim-Q8_0",
        "llama-gqa-rope3-Q4_0",
        "qwen3-Q4_0",
        "gemma3-Q4_0",
        "mixtral-Q4_0",
        "wide-Q2_K",
        "wide-Q3_K_M",
        "wide-Q4_K_M"
      })
  void tensorsAreThoseOfTheOwner(String name) throws IOException {
    Path golden = SharedFiles.require("golden/formats");
    JsonNode truth =
        JsonConfig.read(golden.resolve("truth.json"))
            .json()
            .get("gguf/" + name + ".gguf")
            .get("tensors");
    try (GgufFile file = GgufFile.open(golden.resolve("gguf").resolve(name + ".gguf"))) {
      assertThat(file.tensors()).hasSize(truth.size());
      for (Map.Entry<String, JsonNode> tensor : truth.properties()) {
        GgufStored stored = file.tensors().get(tensor.getKey());
        ImmutableList.Builder<Long> shape = ImmutableList.builder();
        tensor.getValue().get("shape").forEach(size -> shape.add(size.longValue()));
        assertThat(stored.shape()).isEqualTo(shape.build());
        assertThat(stored.type()).hasToString(tensor.getValue().get("type").stringValue());
        assertThat(hash(stored.decoded(stored.name())))
            .as(tensor.getKey())
            .isEqualTo(tensor.getValue().get("sha256").stringValue());
      }
    }
  }
}
