package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.store.KeptModule;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Modules that come one by one, the last first, give the files that all at once give. */
final class GrowingCheckpointTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({"llama, asym, 4", "llama, sym, 3", "qwen3-moe, sym, 4", "qwen3-moe, asym, 4"})
  void theFilesAreThoseOfAnExport(String architecture, String scheme, int bits) throws IOException {
    GridSpec grid = GridSpec.of(Scheme.of(scheme), bits).withScaleBits(Format.BOTH_TYPES);
    QuantizationSettings quantization =
        QuantizationSettings.of(Method.RTN, GptqOptions.of(grid, 32));
    ModuleSettings base = new ModuleSettings(bits, 32, !grid.scheme().hasZeroPoint(), false);
    Path files = RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json(architecture), 7);
    int written = 0;
    try (Model model = Model.open(files);
        WorkFolder work =
            WorkFolder.open(
                folder.resolve("out"),
                RunKey.builder().build(),
                module -> model.checkpoint().find(module + ".bias"),
                note -> {})) {
      quantize(model, quantization, work);
      for (Format format : Formats.all()) {
        if (format.refusal(base, 32, 32).isPresent()) {
          continue;
        }
        CheckpointSettings settings =
            new CheckpointSettings(
                format, base, ImmutableMap.of(), Publication.DEFAULT.withShardLimit(30_000));
        Path whole = folder.resolve("whole-" + format.id());
        Path grown = folder.resolve("grown-" + format.id());
        CheckpointExporter.export(model, work, settings, ImmutableMap.of(), whole, false);
        try (GrowingCheckpoint growing =
            GrowingCheckpoint.begin(model, quantization, settings, grown, false)) {
          for (int block = model.spec().blocks().size() - 1; block >= 0; block--) {
            for (Map.Entry<String, KeptModule> module :
                work.modules(block).entrySet().asList().reverse()) {
              growing.write(block, ImmutableMap.of(module.getKey(), module.getValue()));
            }
          }
          growing.finish(work, ImmutableMap.of());
        }
        assertSame(grown, whole);
        written++;
      }
    }
    assertThat(written).isGreaterThanOrEqualTo(bits == 4 ? 4 : 2);
  }

  private static void quantize(Model model, QuantizationSettings quantization, WorkFolder work) {
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              quantization,
              ImmutableList.of(),
              work,
              JobListener.SILENT)
          .run();
    }
  }

  private static void assertSame(Path grown, Path whole) throws IOException {
    List<Path> names = names(whole);
    assertThat(names(grown)).isEqualTo(names);
    assertThat(names).as("several shards").anyMatch(name -> name.toString().contains("00002-of"));
    for (Path name : names) {
      assertThat(grown.resolve(name)).hasSameBinaryContentAs(whole.resolve(name));
    }
  }

  private static List<Path> names(Path of) throws IOException {
    try (Stream<Path> entries = Files.list(of)) {
      return entries.map(Path::getFileName).sorted().toList();
    }
  }
}
