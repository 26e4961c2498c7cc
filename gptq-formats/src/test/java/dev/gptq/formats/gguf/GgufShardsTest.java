package dev.gptq.formats.gguf;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GgufShardsTest {
  @TempDir Path folder;

  private Path file;

  @BeforeEach
  void place() {
    file = folder.resolve("m.gguf");
  }

  private static GgufMetadata metadata() {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", "llama");
    return metadata;
  }

  /** Tensors of 40, 80, 120 and so on bytes. */
  private static List<GgufTensor> tensors(int count, float value) {
    return IntStream.rangeClosed(1, count)
        .mapToObj(i -> {
          float[] values = new float[10 * i];
          values[i] = value;
          return new GgufTensor(
              "t" + i,
              GgufType.F32,
              ImmutableList.of((long) values.length),
              ImmutableList.of(() -> Elements.toSegment(values)));
        })
        .toList();
  }

  private Path write(int count, long limit, boolean overwrite) throws IOException {
    return GgufShards.write(file, metadata(), tensors(count, count), limit, overwrite);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void areWhatLlamaCppReads() throws IOException {
    Path first = write(4, 130, false);
    assertThat(first).isEqualTo(folder.resolve("m-00001-of-00003.gguf"));
    assertThat(names())
        .containsExactly("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf");
    // split.no and split.count as unsigned integers of 16 bits, as llama.cpp insists.
    assertThat(Files.readString(folder.resolve("m-00002-of-00003.gguf"), ISO_8859_1))
        .contains("split.no\2\0\0\0\1\0", "split.count\2\0\0\0\3\0")
        .contains("split.tensors.count\5\0\0\0\4\0\0\0")
        .doesNotContain("general.architecture");
    try (GgufFile read = GgufFile.open(first)) {
      assertThat(read.values().text("general.architecture")).hasValue("llama");
      assertThat(read.tensors().keySet()).containsExactly("t1", "t2", "t3", "t4");
      assertThat(read.tensors().get("t4").data().get().getAtIndex(Elements.FLOAT, 4)).isEqualTo(4);
    }
    assertThat(GgufShards.first(file)).isEqualTo(first);
  }

  @Test
  void whatFitsIsOneFileOfItsOwnName() throws IOException {
    assertThat(write(4, 400, false)).isEqualTo(file);
    assertThat(Files.readString(file, ISO_8859_1)).doesNotContain("split.");
    assertThat(GgufShards.first(file)).isEqualTo(file);
  }

  @Test
  void anotherSetTakesThePlaceOfTheOld() throws IOException {
    write(4, 1, false);
    assertThatThrownBy(() -> write(2, 1, false))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("m-00001-of-00004.gguf exists");
    Files.createFile(folder.resolve(".m-00002-of-00009.gguf.partial"));
    write(2, 1, true);
    assertThat(names()).containsExactly("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
    write(3, 1000, true);
    assertThat(names()).containsExactly("m.gguf");
  }

  @Test
  void partsOfOthersStay() throws IOException {
    Path theirs = Files.writeString(folder.resolve("m-00002-of-00007.gguf"), "GGUF of others");
    assertThatThrownBy(() -> write(4, 1, true))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("was not written by this program");
    assertThat(theirs).content().isEqualTo("GGUF of others");
    assertThat(names()).hasSize(1);
  }

  @Test
  void nothingIsLeftOfAWriterThatFails() throws IOException {
    write(2, 1, false);
    GgufTensor broken =
        new GgufTensor(
            "broken",
            GgufType.F32,
            ImmutableList.of(1L),
            ImmutableList.of(() -> {
              throw new IllegalStateException("no data");
            }));
    List<GgufTensor> tensors = Stream.concat(tensors(2, 9).stream(), Stream.of(broken)).toList();
    assertThatThrownBy(() -> GgufShards.write(file, metadata(), tensors, 1, true))
        .hasMessage("no data");
    assertThat(names()).containsExactly("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
  }
}
