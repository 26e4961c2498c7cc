package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.cuda.EmulatedProvider;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.pipeline.Weights;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/**
 * Two, four and eight emulated GPUs quantize as one does, also where weights, which bfloat16
 * rounds, come ahead; they take long, so that it is for nights.
 */
@EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
final class EmulatedDevicesTest {
  private static final int WINDOW = 8;
  private static final int WINDOWS = 9;

  @TempDir private Path folder;

  private static Map<String, List<Integer>> quantized(int devices, Model model) {
    MemoryStore store = new MemoryStore();
    int[] stream =
        new SplittableRandom(3)
            .ints((long) WINDOWS * WINDOW, 0, model.spec().vocabulary())
            .toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
    try (Backend backend =
        new CheckedBackend(EmulatedProvider.open(devices, BackendOptions.defaults()))) {
      assertThat(backend.devices()).isEqualTo(devices);
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              QuantizationSettings.of(
                      Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16))
                  .withTarget(new Target(Target.Kind.RESIDUAL, 0.5)),
              windows,
              store,
              JobListener.SILENT)
          .withBatches(WINDOW)
          .with(devices == 2 ? Weights.AHEAD : Weights.IN_TURN)
          .run();
      assertThat(backend.memory().live()).isZero();
    }
    Map<String, List<Integer>> words = new TreeMap<>();
    store
        .packed()
        .forEach((name, packed) ->
            words.put(
                name,
                Arrays.stream(packed.words().toArray(ValueLayout.JAVA_INT)).boxed().toList()));
    return words;
  }

  @Test
  void giveTheSameBits() throws IOException {
    assumeTrue(
        new EmulatedProvider().probe(BackendOptions.defaults()) instanceof Availability.Available,
        "g++ was not found");
    ObjectNode config =
        TinyConfigs.json("mixtral").put("num_hidden_layers", 1).put("num_local_experts", 3);
    try (Model model = Model.open(RandomCheckpoint.write(folder.resolve("model"), config, 7))) {
      Map<String, List<Integer>> one = quantized(1, model);
      assertThat(one).isNotEmpty();
      for (int devices : new int[] {2, 4, 8}) {
        assertThat(quantized(devices, model)).as("%s devices", devices).isEqualTo(one);
      }
    }
  }
}
