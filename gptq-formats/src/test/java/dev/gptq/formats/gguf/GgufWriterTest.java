package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Bytes that the Python package gguf reads as the weights they stand for. */
class GgufWriterTest {
  @TempDir Path folder;

  /** One row of 32 codes with one scale. */
  private static PackedMatrix row(
      Scheme scheme, int bits, IntUnaryOperator code, float scale, float zero) {
    MemorySegment words = MemorySegment.ofArray(new int[BitStream.words(32, bits)]);
    for (int i = 0; i < 32; i++) {
      BitStream.put(words, 1, 0, i, bits, code.applyAsInt(i));
    }
    return new PackedMatrix(
        scheme,
        bits,
        1,
        32,
        1,
        words,
        Elements.toSegment(new float[] {scale}),
        scheme.hasZeroPoint()
            ? Optional.of(Elements.toSegment(new float[] {zero}))
            : Optional.empty(),
        Optional.empty());
  }

  private static String hex(PackedMatrix matrix) {
    GgufType type = GgufType.of(ModuleSettings.of(matrix));
    return HexFormat.of()
        .formatHex(GgufBlocks.encode("m", matrix, type, r -> r).toArray(ValueLayout.JAVA_BYTE));
  }

  @Test
  void blocksAreTheKnownBytes() {
    String codes = "33aa1188ff66dd44bb22990077ee55cc";
    assertThat(hex(row(Scheme.SYMMETRIC, 4, k -> (7 * k + 3) % 16, 0.5f, 8)))
        .isEqualTo("0038" + codes);
    assertThat(hex(row(Scheme.ASYMMETRIC, 4, k -> (7 * k + 3) % 16, 0.5f, 7)))
        .isEqualTo("003800c3" + codes);
    assertThat(hex(row(Scheme.SYMMETRIC, 8, k -> 5 * k - 80 + 128, 0.25f, 128)))
        .isEqualTo("0034b0b5babfc4c9ced3d8dde2e7ecf1f6fb00050a0f14191e23282d32373c41464b");
  }

  @ParameterizedTest
  @CsvSource({"2, 6", "3, 4"})
  void fewerBitsLieAroundTheMiddleOfFour(int bits, int shift) {
    int mask = (1 << bits) - 1;
    assertThat(hex(row(Scheme.SYMMETRIC, bits, k -> k & mask, 0.5f, 0)))
        .isEqualTo(hex(row(Scheme.SYMMETRIC, 4, k -> (k & mask) + shift, 0.5f, 0)));
  }

  @ParameterizedTest
  @CsvSource({"6, 96", "7, 64"})
  void sixAndSevenBitsLieAroundTheMiddleOfEight(int bits, int shift) {
    assertThat(hex(row(Scheme.SYMMETRIC, bits, k -> k, 0.5f, 0)))
        .isEqualTo(hex(row(Scheme.SYMMETRIC, 8, k -> k + shift, 0.5f, 0)));
  }

  @Test
  void filesAreTheKnownBytes() throws IOException {
    PackedMatrix once = row(Scheme.SYMMETRIC, 4, k -> (7 * k + 3) % 16, 0.5f, 8);
    GgufTensor a =
        new GgufTensor(
            "a.weight",
            GgufType.Q4_0,
            ImmutableList.of(2L, 32L),
            ImmutableList.of(
                () -> GgufBlocks.encode("a", once, GgufType.Q4_0, r -> r),
                () -> GgufBlocks.encode("a", once, GgufType.Q4_0, r -> r)));
    GgufTensor b =
        new GgufTensor(
            "b.weight",
            GgufType.F32,
            ImmutableList.of(3L),
            ImmutableList.of(() -> Elements.toSegment(new float[] {1, 2, -1})));
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "llama");
    metadata.put("general.alignment", 32);
    Path file = folder.resolve("a.gguf");
    GgufWriter.write(file, metadata, List.of(a, b), false);
    byte[] bytes = Files.readAllBytes(file);
    assertThat(bytes).hasSize(352);
    CRC32 crc = new CRC32();
    crc.update(bytes);
    assertThat(crc.getValue()).isEqualTo(0xb29d7853L);
    assertThat(folder).isDirectoryContaining(path -> path.equals(file));
    assertThat(folder.resolve(".a.gguf.partial")).doesNotExist();

    assertThatThrownBy(() -> GgufWriter.write(file, metadata, List.of(a, b), false))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("--overwrite");
    GgufWriter.write(file, metadata, List.of(b), true);
    assertThat(Files.size(file)).isLessThan(288);
    Path other = Files.writeString(folder.resolve("letter.txt"), "dear");
    assertThatThrownBy(() -> GgufWriter.write(other, metadata, List.of(b), true))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("is no GGUF file");
    assertThat(other).hasContent("dear");
  }

  @ParameterizedTest
  @CsvSource({
    "8, 32, false, false, 64, 8 bits for symmetric grids only",
    "4, 16, true, false, 64, 16 is no multiple of 32",
    "4, 32, true, true, 64, --static-groups",
    "4, -1, true, false, 48, a row of 48 is no multiple of 32",
    "6, 32, false, false, 64, 6 bits for symmetric grids only",
    "7, 16, true, false, 64, 16 is no multiple of 32"
  })
  void saysWhatItCannotHold(
      int bits, int group, boolean sym, boolean scattered, int columns, String reason) {
    assertThat(GgufType.refusal(new ModuleSettings(bits, group, sym, scattered), columns))
        .hasValueSatisfying(why -> assertThat(why).contains(reason));
    assertThat(GgufType.refusal(new ModuleSettings(4, 32, sym, false), 64)).isEmpty();
  }

  @Test
  void scalesThatAreNoFloat16AreRefused() {
    assertThatThrownBy(() -> hex(row(Scheme.SYMMETRIC, 4, k -> 1, 0.1f, 8)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no float16");
  }
}
