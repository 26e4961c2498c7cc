package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The checkpoint grows beside the work on the blocks. */
final class GrowingCheckpointsTest {
  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();
  private Path model;

  @BeforeEach
  void write() throws IOException {
    model = RandomCheckpoint.write(folder.resolve("source/model"), TinyConfigs.json("llama"), 1);
  }

  /** Does something before the second block, when the checkpoint has begun to grow. */
  private final class Meddler implements QuantizationListener {
    private final Runnable deed;

    Meddler(Runnable deed) {
      this.deed = deed;
    }

    @Override
    public void note(String sentence) {
      notes.add(sentence);
    }

    @Override
    public void block(int index, int count) {
      if (index == 1) {
        while (!Files.exists(part())) {
          LockSupport.parkNanos(1_000_000);
        }
        deed.run();
      }
    }

    @Override
    public void module(ModuleReport report) {}
  }

  private Path part() {
    return folder.resolve(".out.partial").resolve("part-1");
  }

  private Path quantize(String output, QuantizationListener listener) throws IOException {
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization.of(model)
          .settings(
              QuantizationSettings.of(
                  QuantizationSettings.Method.RTN,
                  GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32)))
          .on(backend)
          .to(folder.resolve(output))
          .run(listener);
    }
    return folder.resolve(output).resolve("model.safetensors");
  }

  private List<Path> left() throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(Path::getFileName).sorted().toList();
    }
  }

  @Test
  void whatCannotGrowIsSaidAndWrittenAtTheEnd() throws IOException {
    Path clean = quantize("clean", QuantizationListener.NONE);
    Path mended =
        quantize(
            "out",
            new Meddler(() -> {
              try {
                Files.delete(part());
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            }));
    assertThat(notes)
        .anyMatch(note -> note.contains("out is written when all blocks are finished"));
    assertThat(mended).hasSameBinaryContentAs(clean);
    assertThat(left()).containsExactly(Path.of("clean"), Path.of("out"), Path.of("source"));
  }

  @Test
  void aRunThatFailsLeavesItsBlocksOnly() throws IOException {
    Meddler failing =
        new Meddler(() -> {
          throw new IllegalStateException("power cut");
        });
    assertThatThrownBy(() -> quantize("out", failing)).hasMessage("power cut");
    assertThat(left()).hasSize(2).noneMatch(name -> name.toString().endsWith(".partial"));
    Path resumed = quantize("out", QuantizationListener.NONE);
    assertThat(resumed).hasSameBinaryContentAs(quantize("clean", QuantizationListener.NONE));
  }
}
