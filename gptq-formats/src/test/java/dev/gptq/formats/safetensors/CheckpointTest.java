package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointTest {
  @TempDir Path folder;

  @Test
  void readsNamesTypesShapesAndBytes() throws IOException {
    RawFile.write(folder.resolve("model.safetensors"), RawFile.TWO_TENSORS, 6);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.names()).containsExactly("a", "b");
      assertThat(checkpoint.totalBytes()).isEqualTo(6);
      StoredTensor b = checkpoint.require("b");
      assertThat(b.type()).isEqualTo(StoredType.F16);
      assertThat(b.shape()).isEqualTo(List.of(1L, 1L));
      assertThat(b.rows()).isOne();
      assertThat(b.elements()).isOne();
      assertThat(b.data().toArray(ValueLayout.JAVA_BYTE)).containsExactly(5, 6);
      assertThat(b.data().isReadOnly()).isTrue();
    }
  }

  @Test
  void acceptsScalarsEmptyTensorsMetadataAndPadding() throws IOException {
    String header =
        """
        {"__metadata__":{"format":"pt"},"none":{"dtype":"BF16","shape":[0,7],"data_offsets":[0,0]},\
        "one":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}\
        """;
    Path file = RawFile.write(folder.resolve("any-name.safetensors"), header + "     ", 8);
    try (Checkpoint checkpoint = Checkpoint.open(file)) {
      assertThat(checkpoint.require("none").elements()).isZero();
      assertThat(checkpoint.require("one").elements()).isOne();
      assertThat(checkpoint.find("__metadata__")).isEmpty();
    }
  }

  @Test
  void namesNearTensorsWhenOneIsAbsent() throws IOException {
    Path tiny = SharedFiles.bundled("examples/tiny");
    try (Checkpoint checkpoint = Checkpoint.open(tiny)) {
      assertThatThrownBy(() -> checkpoint.require("model.layers.6.mlp.up_proj.weight"))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(tiny.toString())
          .hasMessageContaining("'model.layers.6.mlp.up_proj.weight'")
          .hasMessageContaining("nearest: model.layers.")
          .hasMessageContaining(".mlp.up_proj.weight,");
    }
  }

  @Test
  void asMatrixOnlyMatricesServe() throws IOException {
    RawFile.write(folder.resolve("model.safetensors"), RawFile.TWO_TENSORS, 6);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      StoredTensor a = checkpoint.require("a");
      assertThatThrownBy(a::rows).isInstanceOf(BadInputException.class).hasMessageContaining("'a'");
    }
  }

  @Test
  void readsARealModel() throws IOException {
    try (Checkpoint tiny = Checkpoint.open(SharedFiles.bundled("examples/tiny"))) {
      assertThat(tiny.names()).hasSize(56);
      assertThat(tiny.totalBytes()).isEqualTo(11_540_992);
    }
  }

  @Test
  void readsARealShardedModel() throws IOException {
    try (Checkpoint small = Checkpoint.open(SharedFiles.require("models/small"))) {
      assertThat(small.names()).hasSize(83);
      assertThat(small.totalBytes()).isEqualTo(61_492_224);
      assertThat(small.require("model.layers.8.mlp.down_proj.weight").describe())
          .isEqualTo("model.layers.8.mlp.down_proj.weight BF16 [512, 1408]");
    }
  }

  @Test
  void followsTheLinksOfADownloadCache() throws IOException {
    Path blobs = Files.createDirectories(folder.resolve("models--x/blobs"));
    Path snapshot = Files.createDirectories(folder.resolve("models--x/snapshots/abc"));
    RawFile.write(blobs.resolve("1234"), RawFile.TWO_TENSORS, 6);
    Files.createSymbolicLink(
        snapshot.resolve("model-00001-of-00001.safetensors"), Path.of("../../blobs/1234"));
    Files.writeString(
        snapshot.resolve("model.safetensors.index.json"),
        """
        {"weight_map": {"a": "model-00001-of-00001.safetensors",
                        "b": "model-00001-of-00001.safetensors"}}\
        """);
    try (Checkpoint checkpoint = Checkpoint.open(snapshot)) {
      assertThat(checkpoint.names()).containsExactly("a", "b");
    }
  }

  @Test
  void closedCheckpointsGiveNoBytesAndCloseTwice() throws IOException {
    RawFile.write(folder.resolve("model.safetensors"), RawFile.TWO_TENSORS, 6);
    Checkpoint checkpoint = Checkpoint.open(folder);
    StoredTensor a = checkpoint.require("a");
    checkpoint.close();
    checkpoint.close();
    assertThatThrownBy(() -> a.data().get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }
}
