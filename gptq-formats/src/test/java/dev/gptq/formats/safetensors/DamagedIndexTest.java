package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** An index that is wrong about its shards. */
class DamagedIndexTest {
  private static final String ONE_TENSOR =
      "{\"NAME\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";

  @TempDir Path root;
  private Path folder;

  @BeforeEach
  void writeShards() throws IOException {
    folder = Files.createDirectories(root.resolve("model"));
    RawFile.write(folder.resolve("1.safetensors"), ONE_TENSOR.replace("NAME", "a"), 1);
    RawFile.write(folder.resolve("2.safetensors"), ONE_TENSOR.replace("NAME", "b"), 1);
    RawFile.write(root.resolve("outside.safetensors"), ONE_TENSOR.replace("NAME", "b"), 1);
    Files.createSymbolicLink(
        folder.resolve("link.safetensors"), root.resolve("outside.safetensors"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "{                                                  | not valid JSON      | download",
        "[]                                                 | no object           | weight_map",
        "{'weight_map': 7}                                  | no object           | weight_map",
        "{'weight_map': {}}                                 | no object           | weight_map",
        "{'weight_map': {'a': 1}}                           | no file             | 'a'",
        "{'weight_map': {'a': '1.safetensors', 'a': ''}}    | Duplicate           | download",
        "{'weight_map': {'a': '3.safetensors'}}             | shard 3.safetensors | is missing",
        "{'weight_map': {'a': '../outside.safetensors'}}    | lies outside        | copy the file",
        "{'weight_map': {'a': '/etc/passwd'}}               | lies outside        | /etc/passwd",
        "{'weight_map': {'b': '1.safetensors'}}             | tensor 'a'          | does not list",
        "{'weight_map': {'a': '1.safetensors', 'c': '1.safetensors'}} | 'c'        | does not hold",
        "{'weight_map': {'a': '2.safetensors', 'b': '2.safetensors'}} | 'a'        | does not hold",
        "{'weight_map': {'a': '1.safetensors', 'b': '1.safetensors'}} | 'b'        | does not hold",
        "{'weight_map': {'b': '1.safetensors', 'a': '2.safetensors'}} | 'a'        | puts it into",
      })
  void isReported(String index, String what, String remedy) throws IOException {
    Path file = folder.resolve("model.safetensors.index.json");
    Files.writeString(file, index.replace('\'', '"'));
    assertThatThrownBy(() -> Checkpoint.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining(what)
        .hasMessageContaining(remedy);
  }

  /** A name in an index may come from anywhere; a link was put there by who made the folder. */
  @Test
  void linksToShardsElsewhereAreReadAsThoseToASingleFileAre() throws IOException {
    Files.writeString(
        folder.resolve("model.safetensors.index.json"),
        "{\"weight_map\": {\"b\": \"link.safetensors\"}}");
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.names()).containsExactly("b");
    }
  }

  @Test
  void deepNestingBesideTheMapIsRefused() throws IOException {
    Path file = folder.resolve("model.safetensors.index.json");
    Files.writeString(file, "{\"metadata\":" + "[".repeat(1_000_000));
    assertThatThrownBy(() -> Checkpoint.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(file.toString());
  }

  @Test
  void aFolderWithoutCheckpointIsExplained() throws IOException {
    Path empty = Files.createDirectories(root.resolve("empty"));
    assertThatThrownBy(() -> Checkpoint.open(empty))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("holds neither model.safetensors");
    Files.createFile(empty.resolve("pytorch_model.bin"));
    assertThatThrownBy(() -> Checkpoint.open(empty)).hasMessageContaining("convert its PyTorch");
    assertThatThrownBy(() -> Checkpoint.open(root.resolve("absent")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("does not exist");
  }

  @Test
  void aFolderInTheFilesPlaceIsExplained() throws IOException {
    Path strange = Files.createDirectories(root.resolve("strange"));
    Files.createDirectories(strange.resolve("model.safetensors"));
    assertThatThrownBy(() -> Checkpoint.open(strange))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("is no file");
  }
}
