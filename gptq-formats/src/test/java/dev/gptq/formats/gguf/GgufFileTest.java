package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufFileTest {
  /** Where the first key of a file begins. */
  private static final int FIRST_KEY = 24;

  /** Bytes of what the writer puts in front of all keys: by what the file was made. */
  private static final int MARK = 49;

  private static final String BLOCK = "003833aa1188ff66dd44bb22990077ee55cc";

  @TempDir Path folder;
  private Path file;

  /** Two rows of Q4_0 and three float32. */
  @BeforeEach
  void write() throws IOException {
    file = folder.resolve("a.gguf");
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "llama");
    metadata.put("general.alignment", 32);
    metadata.put("f", 0.5f);
    metadata.put("b", true);
    metadata.putTexts("texts", List.of("a", "é"));
    metadata.putInts("ints", List.of(1, -2));
    GgufWriter.write(file, metadata, List.of(blocks(), floats()), false);
  }

  private static GgufTensor blocks() {
    return new GgufTensor(
        "a.weight",
        GgufType.Q4_0,
        ImmutableList.of(2L, 32L),
        ImmutableList.of(() -> MemorySegment.ofArray(HexFormat.of().parseHex(BLOCK + BLOCK))));
  }

  private static GgufTensor floats() {
    return new GgufTensor(
        "b.weight",
        GgufType.F32,
        ImmutableList.of(3L),
        ImmutableList.of(() -> Elements.toSegment(new float[] {1, 2, -1})));
  }

  @Test
  void readsWhatWasWritten() throws IOException {
    try (GgufFile read = GgufFile.open(file)) {
      assertThat(GgufFile.is(file)).isTrue();
      assertThat(read.values().text("general.architecture")).hasValue("llama");
      assertThat(read.values().integer("general.alignment")).hasValue(32);
      assertThat(read.values().number("f")).hasValue(0.5);
      assertThat(read.values().truth("b")).hasValue(true);
      assertThat(read.values().texts("texts")).hasValue(ImmutableList.of("a", "é"));
      assertThat(read.values().numbers("ints")).hasValue(ImmutableList.of(1L, -2L));
      assertThat(read.values().text("absent")).isEmpty();
      assertThatThrownBy(() -> read.values().text("f"))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("'f' should be a text but is 0.5");
      assertThatThrownBy(() -> read.values().integer("f")).hasMessageContaining("natural number");
      assertThatThrownBy(() -> read.values().texts("ints")).hasMessageContaining("list of texts");
      assertThatThrownBy(() -> read.values().numbers("texts")).hasMessageContaining("of numbers");
      StoredTensor a = read.tensors().get("a.weight").decoded("A");
      assertThat(a.describe()).isEqualTo("A F32 [2, 32]");
      assertThat(Elements.get(a, 0)).isEqualTo(-2.5f);
      assertThat(Elements.get(a, 63)).isEqualTo(2);
      StoredTensor b = read.tensors().get("b.weight").decoded("B");
      assertThat(Elements.get(b, 2)).isEqualTo(-1);
      try (Checkpoint seen = read.seenAs(ImmutableMap.of("A", a))) {
        assertThat(seen.names()).containsExactly("A");
        assertThat(seen.inFiles())
            .extracting(StoredTensor::name)
            .containsExactly("header of a.gguf", "a.weight", "b.weight");
      }
    }
  }

  @Test
  void takesRowsAndParts() throws IOException {
    try (GgufFile read = GgufFile.open(file)) {
      GgufStored b = read.tensors().get("b.weight");
      StoredTensor turned = b.gathered(2, row -> 2 - row).decoded("b");
      assertThat(turned.shape()).containsExactly(2L);
      assertThat(Elements.get(turned, 0)).isEqualTo(-1);
      GgufStored a = read.tensors().get("a.weight");
      assertThat(a.part(1).decoded("a").describe()).isEqualTo("a F32 [32]");
      assertThat(Elements.get(a.part(1).decoded("a"), 1)).isEqualTo(1);
      assertThat(a.gathered(3, _ -> 0).data().get().toArray(ValueLayout.JAVA_BYTE))
          .isEqualTo(HexFormat.of().parseHex(BLOCK.repeat(3)));
    }
  }

  /** Overwrites four bytes of the known file, in which offsets are those of the reference. */
  @ParameterizedTest
  @CsvSource({
    "0, 1, does not begin with GGUF",
    "4, 1, of version 1;",
    "4, 50331648, big-endian",
    "8, -1, list of tensors claims to be",
    "16, -1, list of entries claims to be",
    "24, -1, text of",
    "52, 13, has the unknown type 13",
    "56, -1, text of",
    "98, 33, no power of two",
    "102, -1, text of",
    "118, 9, has 9 dimensions",
    "118, 0, has 0 dimensions",
    "122, 33, rows of 33",
    "122, 0, a dimension of 0",
    "130, 2000000000, ends at byte",
    "134, 2000000000, a dimension of",
    "138, 99, is of type number 99",
    "142, 32, gap",
    "142, 1, gap",
    "150, 2000000000, text of",
    "182, 32, overlap"
  })
  void namesWhatIsDamaged(int at, int value, String message) throws IOException {
    byte[] bytes = known();
    ByteBuffer.wrap(bytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(at > FIRST_KEY ? at + MARK : at, value);
    Files.write(file, bytes);
    assertThatThrownBy(() -> GgufFile.open(file).close())
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(message);
  }

  @Test
  void aShorterOrLongerFileIsDamaged() throws IOException {
    byte[] bytes = known();
    for (int length : new int[] {0, 3, 149, 229, 319, 325}) {
      Files.write(file, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> GgufFile.open(file).close())
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("cut short");
    }
    // The last tensor may lack its padding.
    Files.write(file, Arrays.copyOf(bytes, 332));
    GgufFile.open(file).close();
    Files.write(file, Arrays.copyOf(bytes, 400));
    assertThatThrownBy(() -> GgufFile.open(file).close())
        .hasMessageContaining("bytes follow the last tensor");
  }

  @Test
  void whateverTheBytesItReadsOrRefuses() throws IOException {
    Random random = new Random(16);
    byte[] known = known();
    for (int i = 0; i < 2000; i++) {
      byte[] bytes = known.clone();
      for (int change = random.nextInt(3); change >= 0; change--) {
        bytes[random.nextInt(190 + MARK)] = (byte) random.nextInt(256);
      }
      Files.write(file, bytes);
      try (GgufFile read = GgufFile.open(file)) {
        read.tensors().values().forEach(tensor -> tensor.decoded("x").data().byteSize());
      } catch (BadInputException e) {
        assertThat(e).hasMessageStartingWith(file.toString());
      }
    }
  }

  private byte[] known() throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "llama");
    metadata.put("general.alignment", 32);
    Path known = folder.resolve("known.gguf");
    GgufWriter.write(known, metadata, List.of(blocks(), floats()), true);
    byte[] bytes = Files.readAllBytes(known);
    assertThat(bytes).hasSize(352);
    return bytes;
  }

  @Test
  void readsAllPartsOfASplitFile() throws IOException {
    write("m-00001-of-00002.gguf", 0, blocks());
    assertThatThrownBy(() -> GgufFile.open(folder.resolve("m-00001-of-00002.gguf")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("m-00002-of-00002.gguf is missing, part 2 of 2");
    write("m-00002-of-00002.gguf", 1, floats());
    try (GgufFile read = GgufFile.open(folder.resolve("m-00001-of-00002.gguf"))) {
      assertThat(read.tensors()).containsOnlyKeys("a.weight", "b.weight");
    }
    assertThatThrownBy(() -> GgufFile.open(folder.resolve("m-00002-of-00002.gguf")))
        .hasMessageContaining("is part 2 of a split file where part 1 is expected");
    write("m-00002-of-00002.gguf", 1, blocks());
    assertThatThrownBy(() -> GgufFile.open(folder.resolve("m-00001-of-00002.gguf")))
        .hasMessageContaining("'a.weight' is there twice");
    Files.copy(folder.resolve("m-00001-of-00002.gguf"), folder.resolve("n.gguf"));
    assertThatThrownBy(() -> GgufFile.open(folder.resolve("n.gguf")))
        .hasMessageContaining("rename it");
  }

  private void write(String name, int number, GgufTensor tensor) throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("split.no", number);
    metadata.put("split.count", 2);
    metadata.put("split.tensors.count", 2);
    GgufWriter.write(folder.resolve(name), metadata, List.of(tensor), true);
  }
}
