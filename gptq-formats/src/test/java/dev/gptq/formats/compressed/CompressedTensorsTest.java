package dev.gptq.formats.compressed;

import static dev.gptq.formats.FormatTests.hex;
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
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntBinaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.node.ObjectNode;

class CompressedTensorsTest {
  private static final String P = FormatTests.MODULE;

  @TempDir Path root;

  private static Format format() {
    return Formats.find("compressed-tensors").orElseThrow();
  }

  private static PackedMatrix matrix(
      Scheme scheme, int bits, int rows, int columns, IntBinaryOperator code, float[] zeros) {
    return FormatTests.matrix(scheme, bits, rows, columns, code, 0.25f, zeros);
  }

  private Path write(PackedMatrix matrix, StoredType modelType) throws IOException {
    return FormatTests.write(format(), matrix, modelType, root.resolve("out"));
  }

  @Test
  void fourBitsAreTheKnownWords() {
    float[] zeros = {4, 5, 6, 7, 8, 9, 10, 11};
    List<StoredTensor> tensors =
        format()
            .encode(
                module(
                    matrix(Scheme.ASYMMETRIC, 4, 8, 8, (o, i) -> (o + i) % 16, zeros),
                    StoredType.BF16));
    assertThat(tensor(tensors, "weight_packed").describe()).endsWith("I32 [8, 1]");
    assertThat(hex(tensor(tensors, "weight_packed")))
        .isEqualTo("76543210 87654321 98765432 A9876543 BA987654 CBA98765 DCBA9876 EDCBA987");
    assertThat(tensor(tensors, "weight_zero_point").describe()).endsWith("I32 [1, 1]");
    assertThat(hex(tensor(tensors, "weight_zero_point"))).isEqualTo("BA987654");
    assertThat(tensor(tensors, "weight_scale").describe()).endsWith("BF16 [8, 1]");
    assertThat(hex(tensor(tensors, "weight_shape")).isEmpty()).isFalse();
    assertThat(tensor(tensors, "weight_shape").data().getAtIndex(Elements.LONG, 1)).isEqualTo(8);
  }

  @ParameterizedTest
  @CsvSource({
    "8, 8, 7F7E7D7C 83828180, 124",
    "3, 32, 88FAC688 C688FAC6 FAC688FA, 0",
    "5, 32, 8A418820 C5A92839 CA307B9A 38BDAB49 FFBBCDEB, 0",
    "6, 16, 440C2040 A2481C61 3CE34C2C, 0",
    "7, 32, 40608080 880E1828 68C16284 88901E38 58A94264 668C982E 3E78E9C3, 0",
  })
  void otherWidthsAreTheKnownWords(int bits, int columns, String words, int first) {
    int codes = 1 << bits;
    PackedMatrix matrix =
        matrix(Scheme.SYMMETRIC, bits, 1, columns, (o, i) -> (first + i) % codes, new float[0]);
    List<StoredTensor> tensors = format().encode(module(matrix, StoredType.F16));
    assertThat(hex(tensor(tensors, "weight_packed"))).isEqualTo(words);
    assertThat(tensors).noneMatch(t -> t.name().endsWith("zero_point"));
  }

  @Test
  void zeroPointsFillTheirColumnsWords() {
    float[] zeros = new float[12];
    for (int o = 0; o < 12; o++) {
      zeros[o] = o;
    }
    List<StoredTensor> tensors =
        format()
            .encode(
                module(matrix(Scheme.ASYMMETRIC, 4, 12, 8, (o, i) -> i, zeros), StoredType.F16));
    assertThat(hex(tensor(tensors, "weight_zero_point"))).isEqualTo("76543210 0000BA98");
  }

  static Stream<Arguments> shapes() {
    return Stream.of(2, 3, 4, 5, 6, 7, 8)
        .flatMap(bits ->
            Stream.of(Scheme.SYMMETRIC, Scheme.ASYMMETRIC)
                .filter(scheme -> scheme == Scheme.SYMMETRIC || bits == 4 || bits == 8)
                .flatMap(scheme ->
                    Stream.of(
                        Arguments.of(bits, scheme, 32, 64, -1),
                        Arguments.of(bits, scheme, 37, 41, -1),
                        Arguments.of(bits, scheme, 13, 96, 32),
                        Arguments.of(bits, scheme, 1, 24, 8))));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void readsWhatItWrites(int bits, Scheme scheme, int rows, int columns, int group)
      throws IOException {
    PackedMatrix matrix = RandomMatrices.of(scheme, bits, rows, columns, group, false, bits * 7);
    Path folder = write(matrix, StoredType.BF16);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.require(P + ".weight_scale").type()).isEqualTo(StoredType.F16);
      PackedModules modules = open(folder, checkpoint);
      assertThat(modules.base()).isEqualTo(ModuleSettings.of(matrix));
      assertThat(modules.has(P)).isTrue();
      PackedMatrix read = modules.read(P).matrix();
      assertThat(read.scheme()).isEqualTo(scheme);
      assertThat(read.groups()).isEqualTo(matrix.groups());
      assertThat(read.words().mismatch(matrix.words())).isEqualTo(-1);
      assertThat(read.scales().mismatch(matrix.scales())).isEqualTo(-1);
      matrix
          .zeros()
          .ifPresent(zeros -> assertThat(read.zeros().orElseThrow().mismatch(zeros)).isEqualTo(-1));
    }
  }

  @Test
  void headersAreHeldAgainstTheLayer() throws IOException {
    PackedMatrix matrix = RandomMatrices.of(Scheme.ASYMMETRIC, 4, 16, 64, 32, false, 1);
    Path folder = write(matrix, StoredType.F16);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedModules modules = open(folder, checkpoint);
      assertThatCode(() -> modules.check(P, 16, 64)).doesNotThrowAnyException();
      assertThatThrownBy(() -> modules.check(P, 64, 16))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(P + " is packed as 16 x 64 but config.json makes it 64 x 16");
    }
    List<StoredTensor> tensors = new ArrayList<>(format().encode(module(matrix, StoredType.F16)));
    tensors.removeIf(tensor -> tensor.name().endsWith("zero_point"));
    Path less = root.resolve("less");
    try (CheckpointWriter writer = CheckpointWriter.create(less, WriterOptions.DEFAULT)) {
      writer.addAll(tensors);
      writer.copyFile(folder.resolve("config.json"));
      writer.commit();
    }
    try (Checkpoint checkpoint = Checkpoint.open(less)) {
      PackedModules modules = open(less, checkpoint);
      assertThatThrownBy(() -> modules.check(P, 16, 64))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("has no tensor '" + P + ".weight_zero_point'");
    }
  }

  @Test
  void saysWhatItCannotHold() {
    assertThat(format().refusal(new ModuleSettings(4, 32, false, false), 8, 64)).isEmpty();
    assertThat(format().refusal(new ModuleSettings(3, 32, false, false), 8, 64).orElseThrow())
        .contains("4 and 8 bits only");
    assertThat(format().refusal(new ModuleSettings(4, 32, true, true), 8, 64).orElseThrow())
        .contains("--static-groups");
    assertThat(format().refusal(new ModuleSettings(4, 48, true, false), 8, 64).orElseThrow())
        .contains("64 is no multiple of 48");
  }

  @Test
  void fractionalZeroPointsAreRefused() {
    PackedMatrix matrix = matrix(Scheme.ASYMMETRIC, 4, 1, 8, (o, i) -> i, new float[] {7.5f});
    assertThatThrownBy(() -> format().encode(module(matrix, StoredType.F16)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("zero point 7.5");
  }

  @Test
  void scalesHaveTheTypeOfTheModelWhereItHoldsThem() {
    PackedMatrix matrix = matrix(Scheme.SYMMETRIC, 4, 1, 8, (o, i) -> i, new float[0]);
    assertThat(tensor(format().encode(module(matrix, StoredType.BF16)), "weight_scale").type())
        .isEqualTo(StoredType.BF16);
    matrix.scales().setAtIndex(Elements.FLOAT, 0, 1 + 1f / 1024);
    assertThat(tensor(format().encode(module(matrix, StoredType.BF16)), "weight_scale").type())
        .isEqualTo(StoredType.F16);
    matrix.scales().setAtIndex(Elements.FLOAT, 0, 0.1f);
    assertThat(tensor(format().encode(module(matrix, StoredType.BF16)), "weight_scale").type())
        .isEqualTo(StoredType.F32);
  }

  @Test
  void differentModulesGetGroupsOfTheirOwn() throws IOException {
    ModuleSettings four = new ModuleSettings(4, 32, true, false);
    ModuleSettings eight = new ModuleSettings(8, -1, false, false);
    ObjectNode json =
        format()
            .settings(
                new QuantizedModel(
                    four,
                    ImmutableMap.of("a.q", four, "a.k", eight, "a.v", four),
                    ImmutableList.of("lm_head", "a.o"),
                    ImmutableMap.of(),
                    ImmutableMap.of()));
    assertThat(json.get("config_groups").get("group_0").get("targets").toString())
        .isEqualTo("[\"a.q\",\"a.v\"]");
    assertThat(json.get("ignore").toString()).isEqualTo("[\"lm_head\",\"a.o\"]");
    Path file = Files.writeString(root.resolve("config.json"), json.toString());
    CompressedSettings read = CompressedSettings.read(JsonConfig.read(file));
    assertThat(read.settingsFor("a.v")).contains(four);
    assertThat(read.settingsFor("a.k")).contains(eight);
    assertThat(read.settingsFor("a.o")).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "'re:.*down_proj', model.layers.3.mlp.down_proj, 8",
    "'re:.*down_proj', model.layers.3.mlp.up_proj, 4",
    "model.layers.3.mlp.up_proj, model.layers.3.mlp.up_proj, 8",
  })
  void namesAndExpressionsGoBeforeClasses(String target, String module, int bits)
      throws IOException {
    Path file =
        Files.writeString(
            root.resolve("config.json"),
            """
            {"format": "pack-quantized", "config_groups": {
              "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32}},
              "group_1": {"targets": ["%s"], "weights": {"num_bits": 8, "group_size": -1}}}}
            """
                .formatted(target));
    assertThat(
            CompressedSettings.read(JsonConfig.read(file)).settingsFor(module).orElseThrow().bits())
        .isEqualTo(bits);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"config_groups\": {}} | config_groups is empty",
        "{} | no config_groups",
        "{\"config_groups\": {\"a\": {\"format\": \"float-quantized\"}}} | float-quantized",
        "{\"config_groups\": {\"a\": {\"input_activations\": {\"num_bits\": 8}}}} | activations",
        "{\"config_groups\": {\"a\": {\"weights\": {\"type\": \"float\"}}}} | type float",
        "{\"config_groups\": {\"a\": {\"weights\": {\"strategy\": \"block\"}}}} | by block",
        "{\"config_groups\": {\"a\": {\"targets\": []}}} | no weights",
      })
  void otherKindsAreRefused(String json, String message) throws IOException {
    Path file = Files.writeString(root.resolve("config.json"), json);
    JsonConfig config = JsonConfig.read(file);
    assertThatThrownBy(() -> CompressedSettings.read(config))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(message);
  }

  @Test
  void olderReleasesLeaveGapsInWords() throws IOException {
    Path folder = root.resolve("old");
    int[] loose = {0x08FAC688, 0x1A23EB1A, 0x2C688FAC, 0x0000003E};
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      writer.add(
          P + ".weight_packed", StoredType.I32, new long[] {1, 4}, MemorySegment.ofArray(loose));
      writer.add(
          P + ".weight_scale",
          StoredType.F32,
          new long[] {1, 1},
          MemorySegment.ofArray(new float[] {1}));
      writer.add(
          P + ".weight_shape",
          StoredType.I64,
          new long[] {2},
          MemorySegment.ofArray(new long[] {1, 32}));
      writer.writeFile(
          "config.json",
          """
          {"quantization_config": {"quant_method": "compressed-tensors", "version": "0.12.2",
            "config_groups": {"group_0": {"targets": ["Linear"],
              "weights": {"num_bits": 3, "strategy": "channel", "symmetric": true}}}}}
          """
              .getBytes(StandardCharsets.UTF_8));
      writer.commit();
    }
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedMatrix matrix = open(folder, checkpoint).read(P).matrix();
      for (int i = 0; i < 32; i++) {
        assertThat(matrix.code(0, i)).isEqualTo(i % 8);
      }
    }
  }
}
