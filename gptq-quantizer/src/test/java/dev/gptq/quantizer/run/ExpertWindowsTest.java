package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
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
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Windows that are added for experts. */
final class ExpertWindowsTest {
  private static final int LENGTH = 16;
  private static final int FIRST = 2;

  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();
  private final List<ModuleReport> modules = new ArrayList<>();

  private Quantization quantization(String family, Backend backend) throws IOException {
    Path model =
        RandomCheckpoint.write(
            Files.createTempDirectory(folder, "m").resolve("model"), TinyConfigs.json(family), 3);
    int[] stream = new SplittableRandom(9).ints(60 * LENGTH, 0, 96).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, LENGTH, OptionalInt.empty());
    return Quantization.of(model)
        .groupSize(32)
        .quality(Quality.FAST)
        .windows(windows.subList(0, FIRST))
        .furtherWindows(windows.subList(FIRST, windows.size()))
        .on(backend)
        .to(folder.resolve("out"));
  }

  private static Backend backend() {
    return new ReferenceBackendProvider().open(BackendOptions.defaults());
  }

  /** Hears notes; ends the run before a block. */
  private QuantizationListener listener(int failingBlock) {
    return new QuantizationListener() {
      @Override
      public void note(String sentence) {
        notes.add(sentence);
      }

      @Override
      public void block(int index, int count) {
        if (index == failingBlock) {
          throw new IllegalStateException("power cut");
        }
      }

      @Override
      public void module(ModuleReport report) {
        modules.add(report);
      }
    };
  }

  private static List<ModuleReport> experts(QuantizationSummary summary) {
    return summary.reports().stream().filter(r -> r.name().contains(".experts.")).toList();
  }

  @Test
  void samplingGoesOnUntilEveryExpertHasSeenEnough() throws IOException {
    try (Backend backend = backend()) {
      QuantizationSummary before = quantization("mixtral", backend).run(listener(-1));
      assertThat(experts(before)).anyMatch(report -> report.tokens() < 40);
      assertThat(notes).noneMatch(note -> note.contains("the expert with"));

      QuantizationSummary after =
          quantization("mixtral", backend).expertTokens(40).overwrite(true).run(listener(-1));
      assertThat(experts(after)).isNotEmpty().allMatch(report -> report.tokens() >= 40);
      long all = after.reports().getFirst().tokens();
      assertThat(all).isGreaterThan(FIRST * LENGTH).isLessThan(60 * LENGTH);
      assertThat(notes)
          .anyMatch(note -> note.startsWith("after 2 windows the expert with the fewest"))
          .anyMatch(note -> note.startsWith("calibrating with " + all / LENGTH + " windows"))
          .noneMatch(note -> note.contains("fewer than"));
    }
  }

  @Test
  void expertsThatAreNotReachedAreNamed() throws IOException {
    try (Backend backend = backend()) {
      QuantizationSummary summary =
          quantization("mixtral", backend).expertTokens(5000).run(listener(-1));
      assertThat(summary.reports().getFirst().tokens()).isEqualTo(60 * LENGTH);
      for (ModuleReport report : experts(summary)) {
        String expert = report.name().substring(0, report.name().lastIndexOf('.'));
        assertThat(notes)
            .filteredOn(note -> note.startsWith("warning: " + expert + " saw "))
            .singleElement()
            .asString()
            .contains(expert + " saw " + report.tokens() + " ", "--expert-tokens 5000");
      }
    }
  }

  @Test
  void aRunGoesOnWithTheSameWindowsAndNotWithThoseOfAnotherNumber() throws IOException {
    try (Backend backend = backend()) {
      Quantization whole = quantization("mixtral", backend).expertTokens(40);
      whole.run(listener(-1));
      byte[] expected = Files.readAllBytes(folder.resolve("out").resolve("model.safetensors"));

      Quantization cut = whole.to(folder.resolve("again"));
      assertThatThrownBy(() -> cut.run(listener(1))).hasMessage("power cut");
      notes.clear();
      assertThatThrownBy(() -> cut.expertTokens(41).run(listener(0))).hasMessage("power cut");
      assertThat(notes).anyMatch(note -> note.contains("expert tokens was 40 and is 41"));

      modules.clear();
      cut.expertTokens(40).run(listener(-1));
      assertThat(modules).isNotEmpty().noneMatch(report -> report.layer() == 0);
      assertThat(Files.readAllBytes(folder.resolve("again").resolve("model.safetensors")))
          .isEqualTo(expected);
    }
  }

  @Test
  void whatCannotBeIsRefused() throws IOException {
    try (Backend backend = backend()) {
      Quantization none = quantization("mixtral", backend).expertTokens(0);
      assertThatThrownBy(none::plan)
          .isInstanceOf(RequestException.class)
          .hasMessage("--expert-tokens must be at least 1 but is 0");
      Quantization dense = quantization("llama", backend).expertTokens(5);
      assertThatThrownBy(dense::plan)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("has no experts among the modules that are quantized");
      Quantization rounding =
          quantization("mixtral", backend)
              .settings(
                  QuantizationSettings.of(
                      Method.RTN, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32)))
              .expertTokens(5);
      assertThatThrownBy(rounding::plan)
          .isInstanceOf(RequestException.class)
          .hasMessageContaining("--method rtn and --imatrix do not take");
    }
  }
}
