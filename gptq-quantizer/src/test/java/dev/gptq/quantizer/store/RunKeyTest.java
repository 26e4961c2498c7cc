package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class RunKeyTest {
  @TempDir private Path folder;

  private static RunKey key(int bits, List<int[]> windows) {
    return RunKey.builder()
        .add(
            "settings",
            QuantizationSettings.of(
                Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, bits), 64)))
        .add(windows)
        .build();
  }

  @Test
  void saysWhichThingChanged() {
    List<int[]> windows = List.of(new int[] {1, 2}, new int[] {3, 4});
    RunKey base = key(4, windows);
    assertThat(key(4, List.of(new int[] {1, 2}, new int[] {3, 4})).text())
        .isEqualTo(base.text())
        .hasSize(12);
    assertThat(key(4, windows).changesSince(base)).isEmpty();
    assertThat(key(3, windows).text()).isNotEqualTo(base.text());
    assertThat(key(3, windows).changesSince(base))
        .containsExactly("settings.options.grid.bits was 4 and is 3");
    assertThat(key(4, List.of(new int[] {1, 2}, new int[] {4, 3})).changesSince(base))
        .singleElement()
        .asString()
        .startsWith("calibration text was 2 windows of 4 tokens, sha-256");
    RunKey less = RunKey.builder().add(windows).build();
    assertThat(less.changesSince(base)).anyMatch(change -> change.endsWith(" and is absent"));
  }

  @Test
  void keepsItsPartsReadable() throws IOException {
    RunKey key = key(2, List.of());
    assertThat(RunKey.read(folder)).isEmpty();
    key.write(folder);
    assertThat(Files.readString(folder.resolve("key.json")))
        .contains("\"settings.options.grid.bits\" : \"2\"");
    assertThat(RunKey.read(folder).orElseThrow().text()).isEqualTo(key.text());
    Files.writeString(folder.resolve("key.json"), "{\"a\": ");
    assertThat(RunKey.read(folder)).isEmpty();
  }

  @Test
  void namesTheBackendAndTheBuild() throws IOException {
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      RunKey key = RunKey.builder().add(backend).build();
      key.write(folder);
      assertThat(Files.readString(folder.resolve("key.json")))
          .contains("\"backend\" : \"reference\"", "backend.accumulation", "\"program\"");
    }
  }

  private Path checkpoint() throws IOException {
    Path path = folder.resolve("model");
    try (CheckpointWriter writer = CheckpointWriter.create(path, WriterOptions.DEFAULT)) {
      for (String name : List.of("a", "b")) {
        writer.add(
            name,
            StoredType.F32,
            new long[] {100, 1000},
            MemorySegment.ofArray(new float[100 * 1000]));
      }
      writer.commit();
    }
    return path;
  }

  private static RunKey key(Path checkpoint) throws IOException {
    try (Checkpoint opened = Checkpoint.open(checkpoint)) {
      return RunKey.builder().add(WeightFiles.of(opened)).build();
    }
  }

  /** A fine-tune saved over its base has the same names and shapes. */
  @Test
  void weightsWrittenInPlaceAreSeen() throws IOException {
    Path path = checkpoint();
    Path file = path.resolve("model.safetensors");
    RunKey before = key(path);
    assertThat(key(path).text()).isEqualTo(before.text());
    FileTime time = Files.getLastModifiedTime(file);
    try (RandomAccessFile tensors = new RandomAccessFile(file.toFile(), "rw")) {
      tensors.seek(tensors.length() - 100);
      tensors.writeInt(7);
    }
    Files.setLastModifiedTime(file, time);
    RunKey after = key(path);
    assertThat(after.changesSince(before))
        .singleElement()
        .asString()
        .startsWith("weights model.safetensors was ");
    Files.setLastModifiedTime(file, FileTime.fromMillis(12_000));
    assertThat(key(path).changesSince(after)).singleElement().asString().contains("1970-01-01");
  }
}
