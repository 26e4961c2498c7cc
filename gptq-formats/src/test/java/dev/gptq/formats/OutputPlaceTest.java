package dev.gptq.formats;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputPlaceTest {
  @TempDir Path root;
  private Path model;

  @BeforeEach
  void make() throws IOException {
    model = Files.createDirectories(root.resolve("models/base"));
    Files.createFile(model.resolve("config.json"));
    Files.createSymbolicLink(root.resolve("link"), model);
  }

  private void assertRefused(Path output, String what) {
    assertThatThrownBy(() -> OutputPlace.requireApart(output, List.of(model)))
        .as(output.toString())
        .isInstanceOf(OutputPlaceException.class)
        .hasMessageContaining(output.toString())
        .hasMessageContaining(what);
  }

  @Test
  void theSourceIsNoOutputByAnyName() {
    assertRefused(model, "is what is read");
    assertRefused(root.resolve("link"), "is what is read");
    assertRefused(root.resolve("models/../link"), "is what is read");
  }

  @Test
  void norIsWhatContainsIt() {
    assertRefused(root.resolve("models"), "contains " + model);
    assertRefused(root, "contains " + model);
  }

  @Test
  void norWhatLiesInIt() {
    assertRefused(model.resolve("w4"), "inside " + model);
    assertRefused(root.resolve("link/deep/w4"), "inside " + model);
    assertRefused(model.resolve("config.json"), "inside " + model);
  }

  @Test
  void aSourceThatIsALinkIsWhatItLeadsTo() {
    assertThatThrownBy(() -> OutputPlace.requireApart(model, List.of(root.resolve("link"))))
        .isInstanceOf(OutputPlaceException.class);
  }

  @Test
  void filesThatAreReadCountToo() throws IOException {
    Path blob = Files.createFile(Files.createDirectories(root.resolve("cache")).resolve("blob"));
    Path shard = Files.createSymbolicLink(model.resolve("model.safetensors"), blob);
    assertThatThrownBy(() -> OutputPlace.requireApart(root.resolve("cache"), List.of(model, shard)))
        .isInstanceOf(OutputPlaceException.class)
        .hasMessageContaining("contains " + shard);
  }

  @Test
  void aNeighbourIsFine() {
    for (String name : List.of("models/base-w4", "models/bas", "w4", "new/folders/w4")) {
      assertThatCode(() -> OutputPlace.requireApart(root.resolve(name), List.of(model)))
          .doesNotThrowAnyException();
    }
  }
}
