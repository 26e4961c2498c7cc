package dev.gptq.formats.compressed;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.formats.FormatTests;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Checkpoints of llm-compressor, and what compressed-tensors itself makes of their matrices. */
class GoldenCompressedTest {
  private static String hash(PackedMatrix matrix) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (int o = 0; o < matrix.rows(); o++) {
      for (int i = 0; i < matrix.columns(); i++) {
        hasher.putInt(Float.floatToRawIntBits(matrix.weight(o, i)));
      }
    }
    return hasher.hash().toString();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-headdim-w4g32",
        "llama-headdim-w4g32a",
        "llama-headdim-w8ch",
        "llama-headdim-w4cha",
        "llama-headdim-w3g32",
        "llama-headdim-w2g32",
        "llama-headdim-w4g32gptq-static",
        "llama-headdim-w4g32gptq-gidx",
        "llama-gqa-rope3-w4g32a",
        "qwen3-w4g32a",
        "gemma3-w4g32"
      })
  void matricesAreThoseOfTheOwner(String name) throws IOException {
    Path golden = SharedFiles.require("golden/formats");
    Path folder = golden.resolve("compressed-tensors").resolve(name);
    JsonNode truth =
        JsonConfig.read(golden.resolve("truth.json")).json().get("compressed-tensors/" + name);
    int compared = 0;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedModules modules =
          Formats.open(JsonConfig.read(folder.resolve("config.json")), folder, checkpoint)
              .orElseThrow();
      for (Map.Entry<String, JsonNode> tensor : truth.get("tensors").properties()) {
        String module = tensor.getKey().replaceFirst("[.]weight$", "");
        if (!modules.has(module)) {
          continue;
        }
        PackedMatrix matrix = modules.read(module).matrix();
        assertThat(hash(matrix))
            .as(module)
            .isEqualTo(tensor.getValue().get("sha256").stringValue());
        if (matrix.groupOf().isEmpty()) {
          compareTensors(checkpoint, modules, module, matrix);
        }
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(6);
  }

  /** Writing what was read gives the owner's tensors bit for bit. */
  private static void compareTensors(
      Checkpoint checkpoint, PackedModules modules, String module, PackedMatrix matrix) {
    for (StoredTensor written :
        modules.format().encode(FormatTests.module(module, matrix, StoredType.BF16))) {
      StoredTensor theirs = checkpoint.require(written.name());
      assertThat(written.describe()).isEqualTo(theirs.describe());
      assertThat(written.data().mismatch(theirs.data())).as(written.name()).isEqualTo(-1);
    }
  }
}
