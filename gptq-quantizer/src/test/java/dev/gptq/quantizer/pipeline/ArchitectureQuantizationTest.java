package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Closeness;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.SpecTensors;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Quantizes a small random checkpoint of every architecture, from folder to folder. */
class ArchitectureQuantizationTest {
  private static final int GROUP = 16;
  private static final int BITS = 4;
  private static final int WINDOW = 64;
  private static final CheckpointSettings CONFIG =
      CheckpointSettings.of(
          Formats.find("gptq").orElseThrow(), new ModuleSettings(BITS, GROUP, true, false));

  @TempDir private Path folder;
  private Backend backend;

  @BeforeEach
  void open() {
    BackendOptions defaults = BackendOptions.defaults();
    boolean hasGpus =
        Backends.discover(defaults).stream().anyMatch(found -> found.name().equals("cuda"));
    // Activations in bfloat16 would differ by their rounding from what they are compared with.
    ImmutableMap<String, String> floats =
        hasGpus ? ImmutableMap.of("cuda.activations", "f32") : ImmutableMap.of();
    backend =
        Backends.open(
            Backends.AUTO,
            new BackendOptions(defaults.threads(), defaults.devices(), floats),
            refused -> {});
  }

  @AfterEach
  void close() {
    assertThat(backend.memory().live()).isZero();
    backend.close();
  }

  static ImmutableSet<String> architectures() {
    return TinyConfigs.ALL.keySet();
  }

  private Model random(ObjectNode config) throws IOException {
    return Model.open(RandomCheckpoint.write(folder.resolve("model"), config, 7));
  }

  private static ImmutableList<int[]> windows(Model model, int count) {
    int[] stream =
        new SplittableRandom(3).ints((long) count * WINDOW, 0, model.spec().vocabulary()).toArray();
    return TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
  }

  private void quantize(Model model, boolean trueSequential, int count, BlockStore store) {
    QuantizationSettings settings =
        new QuantizationSettings(
            Method.GPTQ,
            GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, BITS), GROUP),
            Target.PLAIN,
            Curvature.INPUTS,
            trueSequential,
            Optional.empty(),
            Optional.empty());
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            windows(model, count),
            store,
            JobListener.SILENT)
        .run();
  }

  private MemoryStore quantized(Model model, boolean trueSequential) {
    MemoryStore store = new MemoryStore();
    quantize(model, trueSequential, 8, store);
    return store;
  }

  private float[] logits(Model model, ImmutableMap<String, PackedMatrix> packed) {
    try (Decoder decoder = new Decoder(backend, model.spec(), model.weights(backend, packed));
        TensorScope scope = backend.newScope()) {
      return HostCopies.floats(decoder.logits(windows(model, 2), scope));
    }
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void everyLinearLayerIsQuantizedAndCloserThanRoundingToNearest(String architecture)
      throws IOException {
    try (Model model = random(TinyConfigs.json(architecture))) {
      MemoryStore store = quantized(model, true);
      assertThat(store.packed().keySet()).isEqualTo(shapes(model.spec()).keySet());
      for (ModuleReport report : store.reports()) {
        assertThat(report.fallback()).as(report.name()).isEmpty();
        assertThat(report.error()).as(report.name()).isLessThan(report.rtnError());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void packedWeightsGiveWhatTheirDequantizedValuesGive(String architecture) throws IOException {
    try (Model model = random(TinyConfigs.json(architecture))) {
      ImmutableMap<String, PackedMatrix> packed = quantized(model, false).packed();
      DequantizedCheckpoint written =
          DequantizedCheckpoint.write(folder.resolve("dense"), model, packed);
      try (Model dense = Model.open(written.folder())) {
        Closeness.assertClose(
            "logits", logits(model, packed), logits(dense, ImmutableMap.of()), 1e-4f);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("architectures")
  void writtenCheckpointHasTheTensorsThatLoadersExpect(String architecture) throws IOException {
    try (Model model = random(TinyConfigs.json(architecture))) {
      assertWritten(model);
    }
  }

  /** Experts that lie in one tensor, transposed or in MXFP4, become modules of their own. */
  @ParameterizedTest
  @ValueSource(strings = {"gpt-oss-mxfp4", "llama4"})
  void expertsInOneTensorAreWrittenOneByOne(String checkpoint) throws IOException {
    try (Model model = Model.open(SharedFiles.architecture(checkpoint))) {
      assertWritten(model);
    }
  }

  private void assertWritten(Model model) throws IOException {
    Path output = folder.resolve("quantized");
    try (WorkFolder work =
        WorkFolder.open(
            output,
            RunKey.builder().build(),
            module -> model.checkpoint().find(module + ".bias"),
            note -> {})) {
      quantize(model, true, 8, work);
      CheckpointExporter.export(model, work, CONFIG, ImmutableMap.of(), output, false);
      Map<String, List<Long>> expected = new TreeMap<>(SpecTensors.of(model.spec()));
      shapes(model.spec())
          .forEach((name, shape) -> {
            long in = shape.inputs();
            long out = shape.outputs();
            expected.remove(name + ".weight");
            expected.put(name + ".qweight", List.of(in * BITS / 32, out));
            expected.put(name + ".qzeros", List.of(in / GROUP, out * BITS / 32));
            expected.put(name + ".scales", List.of(in / GROUP, out));
            expected.put(name + ".g_idx", List.of(in));
          });
      try (Model written = Model.open(output)) {
        assertThat(shapes(written.checkpoint())).isEqualTo(expected);
        ImmutableMap.Builder<String, PackedMatrix> packed = ImmutableMap.builder();
        for (int block = 0; block < model.spec().blocks().size(); block++) {
          work.find(block)
              .orElseThrow()
              .forEach((name, module) -> packed.put(name, module.packed()));
        }
        // Biases of quantized modules are float16 on disk.
        Closeness.assertClose(
            "logits",
            logits(written, ImmutableMap.of()),
            logits(model, packed.buildOrThrow()),
            2e-3f);
        assertThat(written.asSource().quantization()).isEmpty();
        Closeness.assertClose(
            "logits of what codes stand for",
            logits(written.asSource(), ImmutableMap.of()),
            logits(written, ImmutableMap.of()),
            1e-4f);
      }
    }
  }

  @Test
  void expertsWithoutTokensAreRoundedToNearestAndSaySo() throws IOException {
    ObjectNode config =
        TinyConfigs.json("mixtral").put("num_local_experts", 32).put("num_experts_per_tok", 1);
    try (Model model = random(config)) {
      MemoryStore store = new MemoryStore();
      quantize(model, true, 4, store);
      int rounded = 0;
      for (ModuleReport report : store.reports()) {
        if (report.module().contains("experts") && report.tokens() < 2L * report.columns()) {
          rounded++;
          assertThat(report.fallback()).startsWith(report.tokens() + " of 256 calibration tokens");
          assertThat(Double.valueOf(report.error())).isEqualTo(Double.valueOf(report.rtnError()));
          assertThat(Double.isNaN(report.error())).isEqualTo(report.tokens() == 0);
        } else {
          assertThat(report.fallback()).isEmpty();
        }
        assertThat(QuantizationLog.parse(QuantizationLog.line(report))).isEqualTo(report);
      }
      assertThat(rounded).isPositive();
      assertThat(store.reports()).anyMatch(report -> report.tokens() == 0);
      assertThat(logits(model, store.packed())).doesNotContain(Float.NaN);
    }
  }

  @Test
  void everyChoiceOfATokenIsCounted() throws IOException {
    try (Model model = random(TinyConfigs.json("mixtral"))) {
      long choices = 0;
      for (ModuleReport report : quantized(model, true).reports()) {
        if (report.layer() == 0 && report.module().endsWith(".w1")) {
          choices += report.tokens();
        }
      }
      assertThat(choices).isEqualTo(2L * 8 * WINDOW);
    }
  }

  private static Map<String, LinearSpec> shapes(DecoderSpec spec) {
    Map<String, LinearSpec> shapes = new TreeMap<>();
    for (BlockSpec block : spec.blocks()) {
      block.linears().forEach(linear -> shapes.put(block.nameOf(linear), linear));
    }
    return shapes;
  }

  private static Map<String, List<Long>> shapes(Checkpoint checkpoint) {
    Map<String, List<Long>> shapes = new TreeMap<>();
    checkpoint.names().forEach(name -> shapes.put(name, checkpoint.require(name).shape()));
    return shapes;
  }
}
