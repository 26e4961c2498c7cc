package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.FormatConverter;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A checkpoint with settings that differ from module to module, as written and as read. */
final class ObservedCheckpointTest {
  private static final CheckpointSettings CONFIG =
      CheckpointSettings.of(
          Formats.find("gptq").orElseThrow(), new ModuleSettings(4, 128, true, false));

  @TempDir private Path folder;

  @Test
  void theLoggedErrorsAreThoseOfWhatWasWritten() throws IOException {
    GptqOptions options = GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 128);
    Path output = folder.resolve("out");
    HessianFolder hessians = new HessianFolder(folder.resolve("hessians"));
    try (Backend backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
        Model model = Model.open(SharedFiles.bundled("examples/tiny"));
        WorkFolder work =
            WorkFolder.open(output, RunKey.builder().build(), m -> Optional.empty(), note -> {})) {
      int[] stream = new SplittableRandom(5).ints(512, 0, model.spec().vocabulary()).toArray();
      ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 64, OptionalInt.empty());
      QuantizationSettings settings = QuantizationSettings.of(Method.GPTQ, options);
      HessianKeeper keeper =
          new HessianKeeper(model.spec(), hessians, OptionalInt.empty(), work, JobListener.SILENT);
      new QuantizationJob(
              backend, model.spec(), model.weights(backend), settings, windows, work, keeper)
          .run();
      Observer observer =
          new Observer(
              model.spec(),
              name -> true,
              new Requantizer(backend, model.weights(backend), options, hessians),
              work,
              Observer.Listener.SILENT);
      observer.improveWorst(3);
      List<ModuleReport> reports = new ArrayList<>();
      for (int block = 0; block < model.spec().blocks().size(); block++) {
        reports.addAll(work.reports(block));
      }
      assertThat(DynamicRules.of(model.spec(), reports, CONFIG.base())).isNotEmpty();
      CheckpointExporter.export(model, work, CONFIG, ImmutableMap.of(), output, false);

      TrueErrors trueErrors = new TrueErrors(model, backend, hessians);
      List<ModuleReport> log =
          Files.readAllLines(output.resolve(QuantizationLog.FILE)).stream()
              .map(QuantizationLog::parse)
              .toList();
      assertThat(log).hasSize(42).anyMatch(report -> report.bits() == 8);
      try (Model written = Model.open(output)) {
        for (ModuleReport report : log) {
          PackedMatrix packed = packed(written, report.name());
          assertThat(packed.bits()).isEqualTo(report.bits());
          assertThat(packed.groupSize()).isEqualTo(report.groupSize());
          assertThat(trueErrors.of(report.name(), packed))
              .as(report.name())
              .isCloseTo(report.error(), within(1e-4 * report.error()));
        }
        Path other = folder.resolve("v2");
        FormatConverter.convert(written, Formats.find("gptq_v2").orElseThrow(), other, false);
        try (Model converted = Model.open(other)) {
          for (ModuleReport report : log) {
            assertThat(
                    packed(converted, report.name())
                        .words()
                        .mismatch(packed(written, report.name()).words()))
                .isEqualTo(-1);
          }
        }
      }
      work.dropReplacements();
      assertThat(work.reports(3)).allMatch(report -> report.bits() == 4);
    }
  }

  private static PackedMatrix packed(Model model, String name) {
    return model.quantization().orElseThrow().read(name).matrix();
  }
}
