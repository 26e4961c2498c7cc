package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExpertStacksTest {
  private static final ModuleSettings SETTINGS = new ModuleSettings(4, 32, true, false);

  @TempDir private Path folder;

  private static Format mlx() {
    return Formats.find("mlx").orElseThrow();
  }

  private Model random(String architecture) throws IOException {
    return Model.open(
        RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json(architecture), 7));
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, model.layers.1.block_sparse_moe.switch_mlp.down_proj, 64",
    "qwen3-moe, model.layers.1.mlp.switch_mlp.down_proj, 32"
  })
  void expertsOfALayerAreOneModuleInMlxAndComeBackFromIt(String architecture, String stack, long in)
      throws IOException {
    Path output = folder.resolve("mlx");
    try (Model model = random(architecture);
        WorkFolder work =
            WorkFolder.open(
                output, RunKey.builder().build(), module -> Optional.empty(), note -> {})) {
      quantize(model, work);
      CheckpointExporter.export(
          model, work, CheckpointSettings.of(mlx(), SETTINGS), ImmutableMap.of(), output, false);
      try (Checkpoint files = Checkpoint.open(output)) {
        assertThat(files.require(stack + ".weight").shape()).containsExactly(4L, 32L, in / 8);
        assertThat(files.require(stack + ".scales").shape()).containsExactly(4L, 32L, in / 32);
        assertThat(files.names()).noneMatch(name -> name.contains(".experts."));
      }
      Path back = folder.resolve("gptq");
      int modules = Conversion.of(output, Formats.find("gptq").orElseThrow()).to(back);
      try (Model stacked = Model.open(output);
          Model single = Model.open(back)) {
        assertThat(stacked.warnings()).isEmpty();
        int compared = 0;
        for (int block = 0; block < model.spec().blocks().size(); block++) {
          for (var module : work.find(block).orElseThrow().entrySet()) {
            PackedMatrix own = module.getValue().packed();
            assertSame(own, stacked.quantization().orElseThrow().read(module.getKey()).matrix());
            assertSame(own, single.quantization().orElseThrow().read(module.getKey()).matrix());
            compared++;
          }
        }
        assertThat(compared).isEqualTo(modules);
      }
    }
  }

  private static void assertSame(PackedMatrix expected, PackedMatrix actual) {
    assertThat(actual.words().mismatch(expected.words())).isEqualTo(-1);
    assertThat(actual.weight(3, 17)).isEqualTo(expected.weight(3, 17));
  }

  private static void quantize(Model model, WorkFolder work) {
    try (Backend backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {})) {
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              new QuantizationSettings(
                  Method.RTN,
                  GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32),
                  Target.PLAIN,
                  Curvature.INPUTS,
                  false,
                  Optional.empty(),
                  Optional.empty()),
              ImmutableList.of(new int[] {1, 2, 3, 4}),
              work,
              JobListener.SILENT)
          .run();
    }
  }

  @Test
  void expertsThatDifferAreRefused() throws IOException {
    try (Model model = random("mixtral")) {
      ExpertStacks stacks = new ExpertStacks(model, mlx());
      String up = "model.layers.0.block_sparse_moe.experts.%d.w3";
      assertThatThrownBy(
              () -> stacks.settings(model, ImmutableMap.of(up.formatted(0), SETTINGS)).keySet())
          .isInstanceOf(BadInputException.class)
          .hasMessageStartingWith(up.formatted(1))
          .hasMessageContaining("block_sparse_moe.switch_mlp.up_proj")
          .hasMessageContaining("select all of them or none");
    }
  }

  @Test
  void expertsOfFamiliesThatMlxRunsOtherwiseAreRefused() {
    assertThatThrownBy(() -> mlx().stacked("qwen3_next", "a.mlp.experts.0.up_proj").isPresent())
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("not those of models of type qwen3_next; write another format");
    assertThat(mlx().stacked("qwen3_next", "a.mlp.shared_experts.up_proj")).isEmpty();
  }
}
