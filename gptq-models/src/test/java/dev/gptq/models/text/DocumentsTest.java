package dev.gptq.models.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DocumentsTest {
  private static final String LINES =
      """
      {"text": "first\\nline", "url": "x"}

      {"messages": [{"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": [{"type": "text", "text": "Because."}]}]}
      """;

  private final List<String> notes = new ArrayList<>();
  private Optional<String> column = Optional.empty();

  @TempDir Path folder;

  private Path write(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  private Path compress(String name, String content) throws IOException {
    Path file = folder.resolve(name);
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
      out.write(content.getBytes(StandardCharsets.UTF_8));
    }
    return file;
  }

  @Test
  void plainTextIsOneDocument() throws IOException {
    String text = "one é\n\ntwo\r\n";
    assertThat(read(write("a.txt", text))).containsExactly(text);
    assertThat(read(write("wiki.test.raw", text))).containsExactly(text);
    assertThat(read(compress("a.txt.gz", text))).containsExactly(text);
  }

  @ParameterizedTest
  @ValueSource(strings = {"a.jsonl", "A.JSONL", "a.ndjson", "a.json"})
  void objectsAreDocuments(String name) throws IOException {
    assertThat(read(write(name, LINES))).containsExactly("first\nline", "Why?\nBecause.\n");
    assertThat(read(compress(name + ".gz", LINES))).hasSize(2);
  }

  @Test
  void aListOfObjectsIsReadToo() throws IOException {
    assertThat(read(write("a.json", "[{\"text\": \"a\"}, {\"text\": \"b\"}]")))
        .containsExactly("a", "b");
  }

  @Test
  void aByteOrderMarkIsNoText() throws IOException {
    assertThat(read(write("a.txt", "\ufeffone"))).containsExactly("one");
    assertThat(read(write("a.jsonl", "\ufeff{\"text\": \"one\"}"))).containsExactly("one");
  }

  @Test
  void rowsWhoseTextIsNullAreLeftOut() throws IOException {
    String rows = "{\"text\": null}\n{\"text\": \"a\"}\n{\"text\": null}\n";
    assertThat(read(write("a.jsonl", rows))).containsExactly("a");
    assertThat(notes)
        .singleElement()
        .asString()
        .contains("a.jsonl", "'text' is null in 2 of 3 documents");
    assertFault(write("b.jsonl", "{\"text\": null}\n{\"text\": null}"), "null in all of its 2");
    assertFault(write("c.jsonl", "{\"text\": null}\n{\"txt\": 1}"), "document 2");
  }

  @Test
  void rowsOfATableAreDocuments() throws IOException {
    String table = "id,text\r\n1,\"a, \"\"b\"\"\nc\"\r\n2,d\r\n";
    assertThat(read(write("a.csv", table))).containsExactly("a, \"b\"\nc", "d");
    assertThat(read(write("a.csv", "\ufeff" + table))).hasSize(2);
    assertThat(read(compress("a.tsv.gz", "text\tid\na, b\t1\n"))).containsExactly("a, b");
    assertFault(
        write("b.csv", "id,body\n1,x\n"), "no column 'text' or 'messages' but 'id', 'body'");
    assertFault(write("c.csv", "text,id\n\"open"), "CSV");
    assertFault(write("d.csv", "text\n"), "no documents");
  }

  @Test
  void aColumnIsNamed() throws IOException {
    column = Optional.of("body");
    assertThat(read(write("a.csv", "text,body\nx,y\n"))).containsExactly("y");
    assertThat(read(write("a.jsonl", "{\"body\": [{\"content\": \"Why?\"}]}\n{\"body\": null}")))
        .containsExactly("Why?\n");
    assertThat(notes).singleElement().asString().contains("'body' is null in 1 of 2");
    assertFault(write("b.jsonl", "{\"text\": \"x\"}"), "document 1", "'body'", "--text-column");
  }

  @Test
  void faultsAreReported() throws IOException {
    assertFault(folder.resolve("absent.txt"), "does not exist");
    assertFault(write("a.parquet", "PAR1"), "not supported", "gptq-data", "DuckDB");
    assertFault(write("a.jsonl.zst", ""), "not supported", "gptq-data");
    assertFault(write("a.arrow", ""), ".arrow files are not supported; convert");
    assertFault(write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": "), "document 2", "JSON");
    assertFault(write("b.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}"), "document 2", "'text'");
    assertFault(write("c.jsonl", ""), "holds no documents");
    assertFault(write("d.jsonl", "\"a\""), "document 1");
    assertFault(write("e.json.gz", "no gzip"), "no valid gzip");
    Path whole = compress("f.txt.gz", "word ".repeat(1000));
    byte[] bytes = Files.readAllBytes(whole);
    assertFault(Files.write(whole, Arrays.copyOf(bytes, bytes.length / 2)), "no valid gzip");
    assertFault(Files.write(folder.resolve("g.txt"), new byte[] {65, (byte) 0xff}), "not UTF-8");
  }

  private ImmutableList<String> read(Path file) throws IOException {
    return new Documents(new TextRules(Bos.AUTO, column), Conversations.plain(), notes::add)
        .read(file);
  }

  private void assertFault(Path file, String... parts) {
    assertThatThrownBy(() -> read(file))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContainingAll(parts);
  }
}
