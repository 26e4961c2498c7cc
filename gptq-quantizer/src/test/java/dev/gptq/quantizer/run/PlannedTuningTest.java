package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.SharedFiles;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.grid.SuperBlock;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningOutcome;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tuning as part of a run: what is refused, written, and done again after an interruption. */
final class PlannedTuningTest {
  private static final QuantizationSettings FOUR_BITS =
      QuantizationSettings.of(Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32));

  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();

  private Optional<Tuning> choice(
      String checkpoint, QuantizationSettings settings, Optional<Tuning> asked, boolean preset)
      throws IOException {
    try (Model model = Model.open(SharedFiles.architecture(checkpoint))) {
      return PlannedTuning.choice(model.spec(), settings, asked, preset, notes::add);
    }
  }

  @Test
  void aPresetGivesWayAndWhatWasAskedForIsRefused() throws IOException {
    Optional<Tuning> asked = Optional.of(Tuning.of(5));
    assertThat(choice("qwen3-next", FOUR_BITS, Optional.empty(), true)).isEmpty();
    assertThat(notes)
        .singleElement()
        .asString()
        .endsWith("there is no derivative of convolutions yet; not tuned");
    assertThatThrownBy(() -> choice("qwen3-next", FOUR_BITS, asked, false))
        .isInstanceOf(RequestException.class)
        .hasMessageContaining("--tune is not possible")
        .hasMessageContaining("convolutions");
    QuantizationSettings blocks =
        FOUR_BITS.withOptions(FOUR_BITS.options().withBlocks(SuperBlock.Q4_K));
    assertThatThrownBy(() -> choice("llama-gqa-rope3", blocks, asked, false))
        .hasMessageContaining("K types are not tuned");
    QuantizationSettings rounding = QuantizationSettings.of(Method.RTN, FOUR_BITS.options());
    assertThatThrownBy(() -> choice("llama-gqa-rope3", rounding, asked, false))
        .hasMessageContaining("rounding to nearest is not tuned");
  }

  @Test
  void thePresetTunesAThousandSteps() throws IOException {
    assertThat(choice("llama-gqa-rope3", FOUR_BITS, Optional.empty(), true))
        .contains(Tuning.of(1000));
    assertThat(choice("llama-gqa-rope3", FOUR_BITS, Optional.empty(), false)).isEmpty();
    assertThat(notes).isEmpty();
  }

  /** Hears everything; fails at a look at the held-out text, if it is to. */
  private class Recorder implements QuantizationListener {
    private final int failingStep;
    private int modules;

    Recorder(int failingStep) {
      this.failingStep = failingStep;
    }

    @Override
    public void note(String sentence) {
      notes.add(sentence);
    }

    @Override
    public void block(int index, int count) {}

    @Override
    public void module(ModuleReport report) {
      modules++;
    }

    @Override
    public void tuning(int steps, TuningOutcome.Look look) {
      if (look.step() == failingStep) {
        throw new IllegalStateException("power cut");
      }
      if (failingStep > 0) {
        // So that the state is worth keeping.
        LockSupport.parkNanos(200_000_000);
      }
    }
  }

  private QuantizationSummary quantize(Path output, Optional<Tuning> tuning, Recorder listener)
      throws IOException {
    Path model = folder.resolve("source");
    if (!Files.exists(model)) {
      RandomCheckpoint.write(model, TinyConfigs.json("llama"), 1);
    }
    int[] stream = new SplittableRandom(9).ints(4 * 16, 0, 96).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 16, OptionalInt.empty());
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization quantization =
          Quantization.of(model).bits(2).groupSize(32).windows(windows).on(backend).to(output);
      tuning.ifPresent(quantization::tuning);
      return quantization.run(listener);
    }
  }

  /** The second run finds the finished blocks, and what the tuning of them has come to. */
  @Test
  void anInterruptedTuningGoesOn() throws IOException {
    Optional<Tuning> tuning = Optional.of(Tuning.of(3, 0.1).withWritten(0));
    Path output = folder.resolve("out");
    assertThatThrownBy(() -> quantize(output, tuning, new Recorder(2))).hasMessage("power cut");
    Recorder second = new Recorder(-1);
    QuantizationSummary summary = quantize(output, tuning, second);
    assertThat(second.modules).isZero();
    TuningOutcome tuned = summary.tuned().orElseThrow();
    assertThat(tuned.gained()).isTrue();
    assertThat(Files.readAllLines(output.resolve("tuning-log.jsonl"))).hasSize(4);
    assertThat(notes)
        .anySatisfy(note -> assertThat(note).contains("64 tokens", "a weight"))
        .anySatisfy(
            note -> assertThat(note).startsWith("tuning at rate 0.1 took KL on held-out text from"))
        .contains("going on after 1 steps of tuning");
    Path whole = folder.resolve("whole");
    Recorder untouched = new Recorder(-1);
    quantize(whole, tuning, untouched);
    assertThat(untouched.modules).isEqualTo(14);
    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("model.safetensors"));
    Path plain = folder.resolve("plain");
    quantize(plain, Optional.empty(), new Recorder(-1));
    assertThat(Files.readAllBytes(plain.resolve("model.safetensors")))
        .isNotEqualTo(Files.readAllBytes(whole.resolve("model.safetensors")));
  }

  @Test
  void blocksOfARunWithOtherTuningAreNotUsed() throws IOException {
    Path output = folder.resolve("out");
    Optional<Tuning> first = Optional.of(Tuning.of(2, 0.1));
    assertThatThrownBy(() -> quantize(output, first, new Recorder(1))).hasMessage("power cut");
    notes.clear();
    Recorder other = new Recorder(-1);
    quantize(output, Optional.of(Tuning.of(3, 0.1)), other);
    assertThat(other.modules).isEqualTo(14);
    assertThat(notes)
        .anySatisfy(note -> assertThat(note).contains("tuning.steps was 2 and is 3"))
        .anySatisfy(
            note -> assertThat(note).endsWith(", and the model itself writes 6 windows more"))
        .anySatisfy(
            note -> assertThat(note).startsWith("the model wrote 6 windows to be tuned with"));
    assertThat(Files.readString(output.resolve("tuning-log.jsonl")))
        .contains("\"written_windows\":6");
  }
}
