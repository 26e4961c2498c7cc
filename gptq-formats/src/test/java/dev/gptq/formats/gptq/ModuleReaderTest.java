package dev.gptq.formats.gptq;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.ImmutableLongArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.Scheme;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.node.StringNode;

/** Files of other writers, honest and lying: 8 outputs, 64 inputs, 4 bits, groups of 32. */
class ModuleReaderTest {
  private static final String P = "layer";

  private record Part(StoredType type, ImmutableLongArray shape, MemorySegment data) {}

  @TempDir Path root;
  private final Map<String, Part> parts = new LinkedHashMap<>();
  private Checkpoint checkpoint;

  ModuleReaderTest() {
    put("qweight", StoredType.I32, MemorySegment.ofArray(new int[64]), 8, 8);
    zeros(0x77777777, 0x77777777);
    short[] scales = new short[16];
    Arrays.fill(scales, (short) 0x3c00);
    put("scales", StoredType.F16, MemorySegment.ofArray(scales), 2, 8);
  }

  @AfterEach
  void close() {
    if (checkpoint != null) {
      checkpoint.close();
    }
  }

  private void put(String name, StoredType type, MemorySegment data, long... shape) {
    parts.put(name, new Part(type, ImmutableLongArray.copyOf(shape), data));
  }

  private void zeros(int... words) {
    put("qzeros", StoredType.I32, MemorySegment.ofArray(words), words.length, 1);
  }

  private void groups(int... indices) {
    put("g_idx", StoredType.I32, MemorySegment.ofArray(indices), indices.length);
  }

  private static GptqConfig config(boolean sym, Version version) {
    return GptqConfig.of(new ModuleSettings(4, 32, sym, false), version);
  }

  private StoredLinear read(GptqConfig config) throws IOException {
    Path folder = root.resolve("model");
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder, WriterOptions.DEFAULT.withOverwrite(true))) {
      for (Map.Entry<String, Part> part : parts.entrySet()) {
        Part p = part.getValue();
        writer.add(P + "." + part.getKey(), p.type(), p.shape().toArray(), p.data());
      }
      writer.writeFile(GptqConfig.FILE, config.toJson().toString().getBytes(UTF_8));
      writer.commit();
    }
    checkpoint = Checkpoint.open(folder);
    return GptqTensors.read(checkpoint, P, config);
  }

  private float[] zerosRead(GptqConfig config) throws IOException {
    return read(config).matrix().zeros().orElseThrow().toArray(Elements.FLOAT);
  }

  @Test
  void absentAllZeroAndRegularGroupIndicesAreTheSame() throws IOException {
    assertThat(read(config(true, Version.V1)).matrix().groupOf()).isEmpty();
    checkpoint.close();
    groups(new int[64]);
    assertThat(read(config(true, Version.V1)).matrix().groupOf()).isEmpty();
    checkpoint.close();
    groups(IntStream.range(0, 64).map(i -> i / 32).toArray());
    assertThat(read(config(true, Version.V1)).matrix().groupOf()).isEmpty();
  }

  @Test
  void irregularGroupIndicesAreKept() throws IOException {
    int[] indices = IntStream.range(0, 64).map(i -> i % 2).toArray();
    groups(indices);
    assertThat(read(config(true, Version.V1)).matrix().groupOf()).contains(indices);
  }

  @Test
  void groupIndicesTellHowManyInputsARaggedModuleHas() throws IOException {
    groups(IntStream.range(0, 61).map(i -> i / 32).toArray());
    assertThat(read(config(true, Version.V1)).matrix().columns()).isEqualTo(61);
    assertThat(read(config(true, Version.V1)).matrix().groupOf()).isPresent();
  }

  @Test
  void aSymmetricFileWithTheZeroPointsOfTheOtherVersionIsReadRightWithAWarning()
      throws IOException {
    zeros(0x88888888, 0x88888888);
    StoredLinear mislabelled = read(config(true, Version.V1));
    assertThat(mislabelled.matrix().scheme()).isEqualTo(Scheme.SYMMETRIC);
    assertThat(mislabelled.warnings()).hasSize(1);
    assertThat(mislabelled.warnings().getFirst())
        .contains("'layer.qzeros' claims format gptq but holds the zero points of gptq_v2");
    checkpoint.close();
    zeros(0x77777777, 0x77777777);
    StoredLinear other = read(config(true, Version.V2));
    assertThat(other.matrix().scheme()).isEqualTo(Scheme.SYMMETRIC);
    assertThat(other.warnings().getFirst()).contains("read as gptq");
    checkpoint.close();
    assertThat(read(config(true, Version.V1)).warnings()).isEmpty();
  }

  @Test
  void anAsymmetricFileIsBelievedEvenIfAllZeroPointsAreEqual() throws IOException {
    zeros(0x88888888, 0x88888888);
    StoredLinear linear = read(config(false, Version.V1));
    assertThat(linear.matrix().scheme()).isEqualTo(Scheme.ASYMMETRIC);
    assertThat(linear.matrix().zeros().orElseThrow().toArray(Elements.FLOAT)).containsOnly(9);
    assertThat(linear.warnings()).isEmpty();
  }

  @Test
  void wrappedFieldsOfTheFirstVersionAreZero() throws IOException {
    zeros(0x6F0E2F7F, 0x77777777);
    assertThat(zerosRead(config(false, Version.V1))).startsWith(0, 8, 0, 3, 15, 1, 0, 7);
  }

  @Test
  void wordsFromWhichOnesWereSubtractedAreRestored() throws IOException {
    zeros(0x5F0E1F6F, 0x77777777);
    GptqConfig config =
        config(false, Version.V1).withMeta("quantizer", StringNode.valueOf("gptqmodel:2.0.0"));
    assertThat(zerosRead(config)).startsWith(0, 8, 0, 3, 15, 1, 0, 7);
  }

  static Stream<Arguments> contradictions() {
    return Stream.of(
        contradiction("qweight", StoredType.F16, 2, "should be I32", 8, 8),
        contradiction("qweight", StoredType.I32, 4, "a matrix", 64),
        contradiction("qweight", StoredType.I32, 4, "should be", 16, 8),
        contradiction("qzeros", StoredType.I32, 4, "should be [2, 1] at 4 bits", 1, 1),
        contradiction("qzeros", StoredType.F32, 4, "should be I32", 2, 1),
        contradiction("scales", StoredType.F16, 2, "should be [2, 8] at 4 bits", 4, 8),
        contradiction("scales", StoredType.I16, 2, "F16, BF16 or F32", 2, 8),
        contradiction("g_idx", StoredType.I32, 4, "should be [4, 8] at 4 bits", 32),
        contradiction("g_idx", StoredType.I32, 4, "a vector", 8, 8),
        contradiction("g_idx", StoredType.F32, 4, "integers", 64));
  }

  private static Arguments contradiction(
      String part, StoredType type, int bytes, String message, long... shape) {
    return Arguments.of(part, type, bytes, message, shape);
  }

  @ParameterizedTest
  @MethodSource("contradictions")
  void contradictionsNameTheTensorAndWhatIsExpected(
      String part, StoredType type, int bytes, String message, long[] shape) {
    long size = Arrays.stream(shape).reduce(bytes, Math::multiplyExact);
    put(part, type, MemorySegment.ofArray(new byte[(int) size]), shape);
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(root.toString())
        .hasMessageContaining(message);
  }

  @Test
  void valuesThatCannotBeAreRefused() {
    groups(IntStream.range(0, 64).map(i -> i / 16).toArray());
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'layer.g_idx' puts column 32 into group 2 but there are 2");
    parts.remove("g_idx");
    short[] scales = new short[16];
    scales[3] = 0x7c00;
    put("scales", StoredType.F16, MemorySegment.ofArray(scales), 2, 8);
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'layer.scales' holds the scale Infinity");
    put("qweight", StoredType.I32, MemorySegment.ofArray(new int[0]), 0, 8);
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("should be larger");
    put("qweight", StoredType.I32, MemorySegment.ofArray(new int[0]), Long.MAX_VALUE / 8, 0);
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("too large");
  }

  @Test
  void aMissingPartAndASkippedModuleAreReported() {
    parts.remove("scales");
    assertThatThrownBy(() -> read(config(true, Version.V1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no tensor 'layer.scales'");
    GptqConfig skips =
        config(true, Version.V1).withDynamic(ImmutableMap.of("-:lay", ModuleOverride.NONE));
    assertThatThrownBy(() -> read(skips))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("a rule of the configuration skips it");
  }
}
