package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SideFilesTest {
  @TempDir private Path root;
  private Path model;

  @BeforeEach
  void make() throws IOException {
    model = Files.createDirectory(root.resolve("model"));
    Files.createFile(model.resolve("config.json"));
    Files.createFile(model.resolve("tokenizer.json"));
  }

  @Test
  void weightsOfAllKindsStayBehindAndTemplatesComeAlong() throws IOException {
    for (String ending : new String[] {"bin", "ot", "tflite", "ckpt", "npz", "safetensors"}) {
      Files.createFile(model.resolve("model." + ending));
    }
    Files.createFile(model.resolve(".gitattributes"));
    Files.createFile(model.resolve("README.md"));
    Files.createFile(model.resolve("LICENSE"));
    Files.createDirectories(model.resolve("onnx"));
    Path templates = Files.createDirectory(model.resolve("additional_chat_templates"));
    Files.createFile(templates.resolve("tool_use.jinja"));
    assertThat(SideFiles.of(model))
        .containsOnlyKeys("LICENSE", "tokenizer.json", "additional_chat_templates/tool_use.jinja")
        .containsEntry("tokenizer.json", model.resolve("tokenizer.json"));
  }

  @Test
  void aLinkThatLeadsOutIsRefusedWhateverItIsCalled() throws IOException {
    Path secret = Files.createFile(root.resolve("id_rsa"));
    Path templates = Files.createDirectory(model.resolve("additional_chat_templates"));
    for (String name :
        new String[] {
          "README.md", "tokenizer.json", "config.json", "additional_chat_templates/a.jinja"
        }) {
      Path link = model.resolve(name);
      boolean was = Files.deleteIfExists(link);
      Files.createSymbolicLink(link, secret);
      assertThatThrownBy(() -> SideFiles.of(model))
          .as(name)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(link + " is a link to " + secret.toRealPath());
      Files.delete(link);
      if (was) {
        Files.createFile(link);
      }
    }
    Files.delete(templates);
    Files.createFile(Files.createDirectory(root.resolve("elsewhere")).resolve("a.jinja"));
    Files.createSymbolicLink(templates, root.resolve("elsewhere"));
    assertThatThrownBy(() -> SideFiles.of(model)).isInstanceOf(BadInputException.class);
  }

  @Test
  void linksWithinTheFolderAreFollowed() throws IOException {
    Files.createSymbolicLink(model.resolve("vocab.json"), Path.of("tokenizer.json"));
    assertThat(SideFiles.of(model)).containsKey("vocab.json");
  }

  @Test
  void aSnapshotLinksToTheBlobsOfItsOwnModelOnly() throws IOException {
    Path snapshot = Files.createDirectories(root.resolve("hub/one/snapshots/abc"));
    Path blobs = Files.createDirectories(root.resolve("hub/one/blobs"));
    Path others = Files.createDirectories(root.resolve("hub/two/blobs"));
    Files.createFile(blobs.resolve("1"));
    Files.createFile(others.resolve("1"));
    Files.createSymbolicLink(snapshot.resolve("config.json"), Path.of("../../blobs/1"));
    Files.createSymbolicLink(snapshot.resolve("tokenizer.json"), Path.of("../../blobs/1"));
    assertThat(SideFiles.of(snapshot)).containsOnlyKeys("tokenizer.json");
    Files.createSymbolicLink(snapshot.resolve("README.md"), others.resolve("1"));
    assertThatThrownBy(() -> SideFiles.of(snapshot)).isInstanceOf(BadInputException.class);
  }
}
