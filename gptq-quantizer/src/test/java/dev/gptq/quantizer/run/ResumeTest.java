package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.hash.Hashing;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.BadInputException;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.store.OutputLock;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a run makes of what an earlier one left. */
final class ResumeTest {
  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();

  /** Hears everything; fails before a block, and saves the work when the checkpoint is written. */
  private class Recorder implements QuantizationListener {
    private final int failingBlock;
    private int modules;

    Recorder(int failingBlock) {
      this.failingBlock = failingBlock;
    }

    @Override
    public void note(String sentence) {
      // These runs are as short as can be.
      if (!sentence.contains("calibration tokens are few")) {
        notes.add(sentence);
      }
    }

    @Override
    public void block(int index, int count) {
      if (index == failingBlock) {
        throw new IllegalStateException("power cut");
      }
    }

    @Override
    public void module(ModuleReport report) {
      modules++;
    }
  }

  private Path model(long seed) throws IOException {
    return RandomCheckpoint.write(
        folder.resolve("source").resolve("model" + seed), TinyConfigs.json("llama"), seed);
  }

  private static void quantize(Path model, Path output, int bits, Recorder listener)
      throws IOException {
    int[] stream = new SplittableRandom(9).ints(2 * 32, 0, 96).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 32, OptionalInt.empty());
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization.of(model)
          .bits(bits)
          .groupSize(32)
          .windows(windows)
          .on(backend)
          .to(output)
          .run(listener);
    }
  }

  private void cut(Path model, Path output, int bits) {
    assertThatThrownBy(() -> quantize(model, output, bits, new Recorder(1)))
        .hasMessage("power cut");
  }

  private static void severalFormats(Path model, Path output, QuantizationListener listener)
      throws IOException {
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization.of(model)
          .settings(
              QuantizationSettings.of(
                  QuantizationSettings.Method.RTN,
                  GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32)))
          .format("compressed-tensors,gptq")
          .on(backend)
          .to(output)
          .run(listener);
    }
  }

  /** The second folder is taken while the first one is written. */
  @Test
  void ofSeveralFormatsOnlyThoseThatAreMissingAreWritten() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    Path obstacle = output.resolve("gptq").resolve("notes.txt");
    Recorder obstructing =
        new Recorder(-1) {
          @Override
          public void writing(Path place) {
            try {
              Files.createDirectories(obstacle.getParent());
              Files.createFile(obstacle);
            } catch (IOException e) {
              throw new AssertionError(e);
            }
          }
        };
    assertThatThrownBy(() -> severalFormats(model, output, obstructing))
        .hasMessageContaining("exists and is not empty");
    assertThatThrownBy(() -> severalFormats(model, output, new Recorder(-1)))
        .hasMessageContaining(obstacle.getParent() + " exists and is not empty");
    Path first = output.resolve("compressed-tensors").resolve("model.safetensors");
    Object written = Files.readAttributes(first, BasicFileAttributes.class).fileKey();
    Files.delete(obstacle);
    Recorder again = new Recorder(-1);
    severalFormats(model, output, again);
    assertThat(again.modules).isZero();
    assertThat(Files.readAttributes(first, BasicFileAttributes.class).fileKey()).isEqualTo(written);
    assertThat(output.resolve("gptq").resolve("model.safetensors")).exists();
    assertThat(work()).isEmpty();
    assertThatThrownBy(() -> severalFormats(model, output, new Recorder(-1)))
        .hasMessageContaining("exists and is not empty");
  }

  @Test
  void theFolderOfEachFormatIsLocked() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    try (OutputLock _ = OutputLock.acquire(output.resolve("gptq"))) {
      assertThatThrownBy(() -> severalFormats(model, output, new Recorder(-1)))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is being written by process");
    }
  }

  private List<Path> work() throws IOException {
    try (Stream<Path> siblings = Files.list(folder)) {
      return siblings
          .filter(path -> path.getFileName().toString().startsWith(".out.work-"))
          .toList();
    }
  }

  /** A fine-tune saved over its base while a run of the base was interrupted. */
  @Test
  void replacedWeightsStartAgainAndAreSaid() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    cut(model, output, 4);
    assertThat(work()).hasSize(1);
    Path weights = model.resolve("model.safetensors");
    Path tuned = model(2);
    Files.copy(tuned.resolve("model.safetensors"), weights, StandardCopyOption.REPLACE_EXISTING);
    Recorder second = new Recorder(-1);
    quantize(model, output, 4, second);
    assertThat(second.modules).isEqualTo(14);
    assertThat(notes)
        .singleElement()
        .asString()
        .contains("weights model.safetensors was", work().getFirst().toString());
    Path clean = folder.resolve("clean");
    quantize(tuned, clean, 4, new Recorder(-1));
    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(clean.resolve("model.safetensors"));
  }

  @Test
  void theSameRunGoesOnAndOtherSettingsAreKept() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    cut(model, output, 4);
    cut(model, output, 8);
    assertThat(work()).hasSize(2);
    assertThat(notes)
        .singleElement()
        .asString()
        .contains("settings.options.grid.bits was 4 and is 8");
    Recorder again = new Recorder(-1);
    quantize(model, output, 8, again);
    assertThat(again.modules).isEqualTo(7);
    assertThat(work()).hasSize(1);
  }

  @Test
  void aHeldOutputEndsTheRunAtOnce() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    Recorder listener = new Recorder(-1);
    try (OutputLock _ = OutputLock.acquire(output)) {
      assertThatThrownBy(() -> quantize(model, output, 4, listener))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is being written by process");
    }
    assertThat(listener.modules).isZero();
    assertThat(work()).isEmpty();
  }

  /** Killed after the last rename, before the blocks were deleted. */
  @Test
  void aCompleteOutputIsRecognised() throws IOException {
    Path model = model(1);
    Path output = folder.resolve("out");
    cut(model, output, 4);
    Path work = work().getFirst();
    Path saved = folder.resolve("saved");
    Files.move(work, saved);
    quantize(model, output, 4, new Recorder(-1));
    Files.move(saved, work);
    byte[] log = Files.readAllBytes(output.resolve("quantization-log.jsonl"));
    byte[] weights = Files.readAllBytes(output.resolve("model.safetensors"));
    assertThatThrownBy(() -> quantize(model, output, 4, new Recorder(-1)))
        .hasMessageContaining("exists and is not empty");
    Files.writeString(work.resolve("announced.sha256"), Hashing.sha256().hashBytes(log).toString());
    assertThatThrownBy(() -> quantize(model, output, 8, new Recorder(-1)))
        .hasMessageContaining("exists and is not empty");
    notes.clear();
    Recorder listener = new Recorder(-1);
    quantize(model, output, 4, listener);
    assertThat(listener.modules).isZero();
    assertThat(notes).singleElement().asString().contains("was complete already");
    assertThat(work()).isEmpty();
    assertThat(output.resolve("model.safetensors")).hasBinaryContent(weights);
  }
}
