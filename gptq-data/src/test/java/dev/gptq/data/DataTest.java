package dev.gptq.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.text.Bos;
import dev.gptq.models.text.Conversations;
import dev.gptq.models.text.Documents;
import dev.gptq.models.text.TextRules;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Files that pyarrow wrote, and files compressed by Zstandard, read as documents. */
final class DataTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"plain", "snappy", "zstd"})
  void rowsOfParquetAreDocuments(String name) throws IOException {
    assertThat(read(fixture(name + ".parquet"), Optional.empty()))
        .containsExactly("first\nline", "größer 😀");
  }

  @Test
  void conversationsAndBytesOfParquetAreTextToo() throws IOException {
    assertThat(read(fixture("messages.parquet"), Optional.empty()))
        .containsExactly("Why?\nBecause.\n", "How?\n");
    assertThat(read(fixture("bytes.parquet"), Optional.of("body"))).containsExactly("bytes");
    assertFault(fixture("bytes.parquet"), "no column 'text' or 'messages' but 'body', 'n'");
  }

  @Test
  void questionsWithChoicesAndNumbersAreRows() throws IOException {
    ImmutableList<JsonNode> rows =
        Documents.rows(
            fixture("questions.parquet"),
            ImmutableList.of("choices", "answerKey", "label", "small", "real"));
    assertThat(rows)
        .extracting(JsonNode::toString)
        .containsExactly(
            "{'choices':{'text':['x','y'],'label':['A','B']},'answerKey':'B','label':1,'small':3,'real':0.5}"
                .replace('\'', '"'),
            "{'choices':{'text':['u','v'],'label':['1','2']},'answerKey':'1','label':0,'small':4,'real':1.5}"
                .replace('\'', '"'));
  }

  @Test
  void compressedFilesAreReadAsWhatTheyHold() throws IOException {
    byte[] lines = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n".getBytes(StandardCharsets.UTF_8);
    byte[] compressed = Zstd.compress(lines);
    Path file = Files.write(folder.resolve("a.jsonl.zst"), compressed);
    assertThat(read(file, Optional.empty())).containsExactly("a", "b");
    Path parquet = Files.write(folder.resolve("a.parquet.zst"), compressed);
    assertFault(parquet, "decompress this one");
    assertFault(
        Files.write(file, Arrays.copyOf(compressed, compressed.length / 2)), "no valid zstd file");
    assertFault(Files.write(file, lines), "no valid zstd file");
  }

  @Test
  void damageIsToldInOneWay() throws IOException {
    assertFault(Files.writeString(folder.resolve("a.parquet"), "PAR1"), "no valid Parquet file");
    byte[] whole = Files.readAllBytes(fixture("snappy.parquet"));
    Random random = new Random(20260101);
    for (int i = 0; i < 300; i++) {
      byte[] damaged = whole.clone();
      damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
      Path file = Files.write(folder.resolve("b.parquet"), damaged);
      try {
        read(file, Optional.empty());
      } catch (BadInputException e) {
        assertThat(e).hasMessageStartingWith(file.toString());
      }
    }
  }

  private Path fixture(String name) throws IOException {
    Path copy = folder.resolve(name);
    try (InputStream in = DataTest.class.getResourceAsStream(name)) {
      Files.write(copy, in.readAllBytes());
    }
    return copy;
  }

  private static ImmutableList<String> read(Path file, Optional<String> column) throws IOException {
    return new Documents(new TextRules(Bos.AUTO, column), Conversations.plain(), _ -> {})
        .read(file);
  }

  private static void assertFault(Path file, String part) {
    assertThatThrownBy(() -> read(file, Optional.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(part);
  }
}
