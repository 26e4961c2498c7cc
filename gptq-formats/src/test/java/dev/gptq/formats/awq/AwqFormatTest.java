package dev.gptq.formats.awq;

import static dev.gptq.formats.FormatTests.MODULE;
import static dev.gptq.formats.FormatTests.hex;
import static dev.gptq.formats.FormatTests.matrix;
import static dev.gptq.formats.FormatTests.module;
import static dev.gptq.formats.FormatTests.open;
import static dev.gptq.formats.FormatTests.tensor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.FormatTests;
import dev.gptq.formats.RandomMatrices;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class AwqFormatTest {
  @TempDir Path root;

  private static Format format() {
    return Formats.find("awq").orElseThrow();
  }

  @Test
  void wordsAreTheKnownOnes() {
    PackedMatrix matrix =
        matrix(Scheme.ASYMMETRIC, 4, 8, 2, (o, i) -> o, 0.5f, 8, 0, 15, 3, 7, 1, 12, 9);
    List<StoredTensor> tensors = format().encode(module(matrix, StoredType.BF16));
    assertThat(tensor(tensors, "qweight").describe()).endsWith("I32 [2, 1]");
    assertThat(hex(tensor(tensors, "qweight"))).isEqualTo("75316420 75316420");
    assertThat(hex(tensor(tensors, "qzeros"))).isEqualTo("9130C7F8");
    assertThat(tensor(tensors, "scales").describe()).endsWith("F16 [1, 8]");
  }

  @ParameterizedTest
  @CsvSource({"ASYMMETRIC, 16, 64, 32", "SYMMETRIC, 40, 70, 35", "ASYMMETRIC, 8, 33, -1"})
  void readsWhatItWrites(Scheme scheme, int rows, int columns, int group) throws IOException {
    PackedMatrix matrix = RandomMatrices.of(scheme, 4, rows, columns, group, false, 5);
    Path folder = FormatTests.write(format(), matrix, StoredType.BF16, root.resolve("out"));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedModules modules = open(folder, checkpoint);
      assertThatCode(() -> modules.check(MODULE, rows, columns)).doesNotThrowAnyException();
      PackedMatrix read = modules.read(MODULE).matrix();
      assertThat(read.scheme()).isEqualTo(scheme);
      assertThat(read.words().mismatch(matrix.words())).isEqualTo(-1);
      assertThat(read.scales().mismatch(matrix.scales())).isEqualTo(-1);
      matrix
          .zeros()
          .ifPresent(zeros -> assertThat(read.zeros().orElseThrow().mismatch(zeros)).isEqualTo(-1));
      assertThatThrownBy(() -> modules.check(MODULE, columns, rows))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is packed as %d x %d".formatted(rows, columns));
    }
  }

  @Test
  void saysWhatItCannotHold() {
    assertThat(format().refusal(new ModuleSettings(4, 32, false, false), 8, 64)).isEmpty();
    assertThat(format().refusal(new ModuleSettings(3, 32, false, false), 8, 64).orElseThrow())
        .contains("4 bits only, not 3");
    assertThat(format().refusal(new ModuleSettings(4, 32, false, false), 12, 64).orElseThrow())
        .contains("12 is no multiple of 8");
    assertThat(format().refusal(new ModuleSettings(4, 48, false, false), 8, 64).orElseThrow())
        .contains("64 is no multiple of 48");
    assertThat(format().refusal(new ModuleSettings(4, 32, false, true), 8, 64).orElseThrow())
        .contains("--static-groups");
    PackedMatrix half =
        matrix(Scheme.ASYMMETRIC, 4, 8, 2, (o, i) -> o, 1, 0.5f, 0, 0, 0, 0, 0, 0, 0);
    assertThatThrownBy(() -> format().encode(module(half, StoredType.F16)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("zero point 0.5");
    PackedMatrix tenth = matrix(Scheme.SYMMETRIC, 4, 8, 2, (o, i) -> o, 0.1f);
    assertThatThrownBy(() -> format().encode(module(tenth, StoredType.F16)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("scale 0.1 is no float16");
  }

  @Test
  void loadersLookForPartsOfNames() {
    ModuleSettings four = new ModuleSettings(4, 32, false, false);
    assertThatThrownBy(() -> format().settings(model(four, four, "mlp.gate")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("mlp.gate_proj for unquantized because mlp.gate is");
    assertThatThrownBy(() ->
            format().settings(model(four, new ModuleSettings(4, 64, false, false), "lm_head")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("one group size for all modules");
    assertThat(format().settings(model(four, four, "lm_head")).toString())
        .isEqualTo(
            "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"zero_point\":true,"
                + "\"version\":\"gemm\",\"modules_to_not_convert\":[\"lm_head\"]}");
  }

  private static QuantizedModel model(ModuleSettings base, ModuleSettings own, String unquantized) {
    return new QuantizedModel(
        base,
        ImmutableMap.of("mlp.gate_proj", own),
        ImmutableList.of(unquantized),
        ImmutableMap.of(),
        ImmutableMap.of());
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-headdim-auto_awq", "qwen3-auto_awq"})
  void matricesAreThoseOfAutoRound(String name) throws IOException {
    Path folder = SharedFiles.require("golden/formats").resolve("auto-round").resolve(name);
    int compared = 0;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedModules modules = open(folder, checkpoint);
      for (Map.Entry<String, JsonNode> entry :
          FormatTests.truth("auto-round/" + name).properties()) {
        String module = entry.getKey();
        PackedMatrix matrix = modules.read(module).matrix();
        assertThat(FormatTests.hash(matrix, matrix::weight))
            .as(module)
            .isEqualTo(entry.getValue().get("sha256").stringValue());
        for (StoredTensor written :
            format().encode(FormatTests.module(module, matrix, StoredType.BF16))) {
          StoredTensor theirs = checkpoint.require(written.name());
          assertThat(written.describe()).isEqualTo(theirs.describe());
          assertThat(written.data().mismatch(theirs.data())).as(written.name()).isEqualTo(-1);
        }
        compared++;
      }
    }
    assertThat(compared).isEqualTo(21);
  }
}
