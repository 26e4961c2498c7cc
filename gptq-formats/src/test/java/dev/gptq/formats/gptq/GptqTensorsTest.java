package dev.gptq.formats.gptq;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.RandomMatrices;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class GptqTensorsTest {
  private static final String P = "model.layers.0.mlp.up_proj";

  @TempDir Path root;

  private Path write(PackedMatrix matrix, Version version) throws IOException {
    Path folder = root.resolve("out");
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder, WriterOptions.DEFAULT.withOverwrite(true))) {
      GptqTensors.write(writer, P, matrix, version, Optional.empty());
      GptqConfig config = GptqConfig.of(new ModuleSettings(4, 32, true, false), version);
      writer.writeFile(GptqConfig.FILE, config.toJson().toString().getBytes(UTF_8));
      writer.commit();
    }
    return folder;
  }

  private static GptqConfig config(int bits, int groupSize, Scheme scheme, Version version) {
    return GptqConfig.of(
        new ModuleSettings(bits, groupSize, !scheme.hasZeroPoint(), false), version);
  }

  private static List<String> hex(StoredTensor tensor) {
    List<String> words = new ArrayList<>();
    for (long i = 0; i < tensor.elements(); i++) {
      words.add("%08X".formatted(tensor.data().getAtIndex(Elements.INT, i)));
    }
    return words;
  }

  /** One output whose code k is k mod 2^b, one group, zero points as the scheme has them. */
  private static PackedMatrix ramp(int bits, int rows) {
    MemorySegment words = MemorySegment.ofArray(new int[bits * rows]);
    for (int o = 0; o < rows; o++) {
      for (int k = 0; k < 32; k++) {
        BitStream.put(words, rows, o, k, bits, k & ((1 << bits) - 1));
      }
    }
    float[] scales = new float[rows];
    java.util.Arrays.fill(scales, 0.5f);
    return new PackedMatrix(
        Scheme.SYMMETRIC,
        bits,
        rows,
        32,
        1,
        words,
        MemorySegment.ofArray(scales),
        Optional.empty(),
        Optional.empty());
  }

  @ParameterizedTest
  @CsvSource({
    "2, E4E4E4E4 E4E4E4E4, 55555555 55555555, AAAAAAAA AAAAAAAA",
    "3, 88FAC688 C688FAC6 FAC688FA, DB6DB6DB B6DB6DB6 6DB6DB6D, 24924924 49249249 92492492",
    "4, 76543210 FEDCBA98 76543210 FEDCBA98, 77777777 77777777 77777777 77777777,"
        + " 88888888 88888888 88888888 88888888",
    "8, 03020100 07060504 0B0A0908 0F0E0D0C 13121110 17161514 1B1A1918 1F1E1D1C,"
        + " 7F7F7F7F 7F7F7F7F 7F7F7F7F 7F7F7F7F 7F7F7F7F 7F7F7F7F 7F7F7F7F 7F7F7F7F,"
        + " 80808080 80808080 80808080 80808080 80808080 80808080 80808080 80808080",
  })
  void wordsAreTheKnownOnes(int bits, String codes, String v1, String v2) throws IOException {
    PackedMatrix matrix = ramp(bits, 32);
    for (Version version : Version.values()) {
      try (Checkpoint checkpoint = Checkpoint.open(write(matrix, version))) {
        StoredTensor qweight = checkpoint.require(P + ".qweight");
        assertThat(qweight.describe()).endsWith("I32 [" + bits + ", 32]");
        List<String> firstColumn = new ArrayList<>();
        for (int w = 0; w < bits; w++) {
          firstColumn.add(hex(qweight).get(32 * w));
        }
        assertThat(firstColumn).isEqualTo(List.of(codes.split(" ")));
        StoredTensor qzeros = checkpoint.require(P + ".qzeros");
        assertThat(qzeros.describe()).endsWith("I32 [1, " + bits + "]");
        assertThat(hex(qzeros)).isEqualTo(List.of((version == Version.V1 ? v1 : v2).split(" ")));
        assertThat(checkpoint.require(P + ".scales").describe()).endsWith("F16 [1, 32]");
        assertThat(checkpoint.require(P + ".scales").data().getAtIndex(Elements.HALF, 31))
            .isEqualTo((short) 0x3800);
        assertThat(hex(checkpoint.require(P + ".g_idx"))).hasSize(32).containsOnly("00000000");
      }
    }
  }

  static Stream<Arguments> shapes() {
    return Stream.of(2, 3, 4, 5, 6, 7, 8)
        .flatMap(bits ->
            Stream.of(Scheme.SYMMETRIC, Scheme.ASYMMETRIC)
                .flatMap(scheme ->
                    Stream.of(
                        Arguments.of(bits, scheme, 32, 64, -1, false),
                        Arguments.of(bits, scheme, 48, 96, 32, false),
                        Arguments.of(bits, scheme, 32, 96, 32, true),
                        Arguments.of(bits, scheme, 7, 50, 16, false),
                        Arguments.of(bits, scheme, 1, 33, 128, false),
                        Arguments.of(bits, scheme, 5, 1, -1, false))));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void whatIsWrittenIsReadAgain(
      int bits, Scheme scheme, int rows, int columns, int groupSize, boolean shuffled)
      throws IOException {
    PackedMatrix matrix =
        RandomMatrices.of(scheme, bits, rows, columns, groupSize, shuffled, bits + columns);
    Version version = scheme.hasZeroPoint() ? Version.V2 : Version.V1;
    try (Checkpoint checkpoint = Checkpoint.open(write(matrix, version))) {
      StoredLinear linear =
          GptqTensors.read(checkpoint, P, config(bits, groupSize, scheme, version));
      assertThat(linear.warnings()).isEmpty();
      PackedMatrix read = linear.matrix();
      assertThat(read.bits()).isEqualTo(bits);
      assertThat(read.rows()).isEqualTo(rows);
      assertThat(read.columns()).isEqualTo(columns);
      assertThat(read.groups()).isEqualTo(matrix.groups());
      assertThat(read.words().mismatch(matrix.words())).isEqualTo(-1);
      assertThat(read.scales().mismatch(matrix.scales())).isEqualTo(-1);
      assertThat(read.scheme()).isEqualTo(scheme);
      for (int i = 0; i < columns; i++) {
        assertThat(read.group(i)).isEqualTo(matrix.group(i));
      }
      assertThat(read.groupOf().isPresent()).isEqualTo(matrix.groupOf().isPresent());
      if (scheme.hasZeroPoint()) {
        assertThat(read.zeros().orElseThrow().mismatch(matrix.zeros().orElseThrow())).isEqualTo(-1);
      }
    }
  }

  private static PackedMatrix withZeros(float... zeros) {
    PackedMatrix ramp = ramp(4, zeros.length);
    return new PackedMatrix(
        Scheme.ASYMMETRIC,
        4,
        ramp.rows(),
        32,
        1,
        ramp.words(),
        ramp.scales(),
        Optional.of(MemorySegment.ofArray(zeros)),
        Optional.empty());
  }

  @Test
  void aZeroPointOfZeroNeedsTheSecondVersion() throws IOException {
    PackedMatrix matrix = withZeros(0, 8, 0, 3, 15, 1, 0, 7);
    assertThatThrownBy(() -> write(matrix, Version.V1))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(P)
        .hasMessageContaining("write format gptq_v2");
    try (Checkpoint checkpoint = Checkpoint.open(write(matrix, Version.V2))) {
      assertThat(hex(checkpoint.require(P + ".qzeros"))).containsExactly("701F3080");
    }
  }

  @Test
  void theFirstVersionStoresOneLess() throws IOException {
    try (Checkpoint checkpoint =
        Checkpoint.open(write(withZeros(1, 2, 3, 4, 5, 6, 15, 8), Version.V1))) {
      assertThat(hex(checkpoint.require(P + ".qzeros"))).containsExactly("7E543210");
      StoredLinear linear =
          GptqTensors.read(checkpoint, P, config(4, -1, Scheme.ASYMMETRIC, Version.V1));
      assertThat(linear.matrix().zeros().orElseThrow().toArray(Elements.FLOAT))
          .containsExactly(1, 2, 3, 4, 5, 6, 15, 8);
    }
  }

  @Test
  void whatTheFormatCannotHoldIsRefused() {
    assertThatThrownBy(() -> write(withZeros(1.5f), Version.V2))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("1.5");
    assertThatThrownBy(() -> write(withZeros(16), Version.V2))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("16");
    PackedMatrix ramp = ramp(4, 1);
    PackedMatrix inexact =
        new PackedMatrix(
            Scheme.SYMMETRIC,
            4,
            1,
            32,
            1,
            ramp.words(),
            MemorySegment.ofArray(new float[] {0.1f}),
            Optional.empty(),
            Optional.empty());
    assertThatThrownBy(() -> write(inexact, Version.V1))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("0.1")
        .hasMessageContaining("float16");
  }

  @Test
  void biasesOfAnyTypeBecomeHalves() throws IOException {
    Path source = root.resolve("source");
    try (CheckpointWriter writer = CheckpointWriter.create(source, WriterOptions.DEFAULT)) {
      short[] brains = {0x3fc0, (short) 0xc000};
      writer.add(P + ".bias", StoredType.BF16, new long[] {2}, MemorySegment.ofArray(brains));
      writer.add("huge", StoredType.F32, new long[] {1}, MemorySegment.ofArray(new float[] {1e6f}));
      writer.commit();
    }
    try (Checkpoint biases = Checkpoint.open(source);
        CheckpointWriter writer =
            CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      GptqTensors.write(writer, P, ramp(4, 2), Version.V1, biases.find(P + ".bias"));
      assertThatThrownBy(
              () -> GptqTensors.write(writer, "x", ramp(4, 1), Version.V1, biases.find("huge")))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("'huge'");
      writer.commit();
    }
    try (Checkpoint checkpoint = Checkpoint.open(root.resolve("out"))) {
      StoredTensor bias = checkpoint.require(P + ".bias");
      assertThat(bias.type()).isEqualTo(StoredType.F16);
      assertThat(Elements.get(bias, 0)).isEqualTo(1.5f);
      assertThat(Elements.get(bias, 1)).isEqualTo(-2f);
    }
  }
}
