package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Bytes;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.Step;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** Experts that are quantized side by side. */
final class ExpertLanesTest {
  private static final int GROUP = 16;
  private static final int WINDOW = 64;
  private static final int WINDOWS = 12;
  private static final CheckpointSettings CONFIG =
      CheckpointSettings.of(
          Formats.find("gptq").orElseThrow(), new ModuleSettings(4, GROUP, true, false));

  @TempDir private Path folder;

  /** What a run leaves: its files, what its listener heard, and the most bytes of tensors. */
  private record Outcome(Path output, List<ModuleReport> reports, long peak) {
    List<ModuleReport> withoutTimes() {
      return reports.stream().map(Outcome::withoutTime).toList();
    }

    private static ModuleReport withoutTime(ModuleReport r) {
      return new ModuleReport(
          r.layer(),
          r.module(),
          r.name(),
          r.rows(),
          r.columns(),
          r.bits(),
          r.groupSize(),
          r.sym(),
          r.error(),
          r.relativeError(),
          r.rtnError(),
          r.rtnRelativeError(),
          r.damp(),
          r.tokens(),
          r.fallback(),
          0);
    }
  }

  static ObjectNode config(String architecture) {
    ObjectNode config = TinyConfigs.json(architecture).put("num_experts_per_tok", 2);
    return architecture.equals("mixtral")
        ? config.put("num_local_experts", 9)
        : config.put("num_experts", 21);
  }

  private Path checkpoint(String architecture) throws IOException {
    return RandomCheckpoint.write(folder.resolve("model"), config(architecture), 7);
  }

  private static ImmutableList<int[]> windows(Model model) {
    int[] stream =
        new SplittableRandom(3)
            .ints((long) WINDOWS * WINDOW, 0, model.spec().vocabulary())
            .toArray();
    return TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
  }

  private static BackendOptions options(int lanes) {
    return new BackendOptions(3, 0, ImmutableMap.of("simd.lanes", Integer.toString(lanes)));
  }

  private Outcome quantize(Path checkpoint, QuantizationSettings settings, int lanes)
      throws IOException {
    Path output = folder.resolve("lanes-" + lanes);
    List<ModuleReport> reports = new ArrayList<>();
    long peak;
    JobListener listener =
        new JobListener() {
          @Override
          public void block(int index, int count) {}

          @Override
          public void module(ModuleReport report) {
            reports.add(report);
          }
        };
    try (Backend backend = Backends.open("simd", options(lanes), refused -> {});
        Model model = Model.open(checkpoint);
        WorkFolder work =
            WorkFolder.open(
                output,
                RunKey.builder().build(),
                module -> model.checkpoint().find(module + ".bias"),
                note -> {})) {
      try {
        new QuantizationJob(
                backend,
                model.spec(),
                model.weights(backend),
                settings,
                settings.method() == Method.RTN ? ImmutableList.of() : windows(model),
                work,
                listener)
            .run();
      } finally {
        assertThat(backend.memory().live()).isZero();
        peak = backend.memory().peak();
      }
      CheckpointExporter.export(model, work, CONFIG, ImmutableMap.of(), output, false);
      work.delete();
    }
    return new Outcome(output, reports, peak);
  }

  private static QuantizationSettings settings(Method method, Target target, boolean sequential) {
    GptqOptions options =
        Quality.STANDARD.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), GROUP));
    return new QuantizationSettings(
        method, options, target, Curvature.INPUTS, sequential, Optional.empty(), Optional.empty());
  }

  static Stream<Arguments> runs() {
    Target residual = new Target(Target.Kind.RESIDUAL, 0.5);
    return Stream.of("mixtral", "qwen3-moe")
        .flatMap(name ->
            Stream.of(
                Arguments.of(name, settings(Method.GPTQ, Target.PLAIN, true)),
                Arguments.of(name, settings(Method.GPTQ, Target.PLAIN, false)),
                Arguments.of(name, settings(Method.GPTQ, residual, true)),
                Arguments.of(name, settings(Method.RTN, Target.PLAIN, true))));
  }

  @ParameterizedTest
  @MethodSource("runs")
  void anyNumberOfLanesGivesTheSameFilesAndReports(
      String architecture, QuantizationSettings settings) throws IOException {
    Path checkpoint = checkpoint(architecture);
    Outcome one = quantize(checkpoint, settings, 1);
    assertThat(one.reports()).hasSizeGreaterThan(3 * 9);
    for (int lanes : new int[] {2, 5}) {
      Outcome many = quantize(checkpoint, settings, lanes);
      assertThat(many.withoutTimes()).isEqualTo(one.withoutTimes());
      assertThat(many.output().resolve("model.safetensors"))
          .hasSameBinaryContentAs(one.output().resolve("model.safetensors"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"mixtral", "qwen3-moe"})
  void publishedLayoutsGiveTheSameFiles(String architecture) throws IOException {
    Path checkpoint = SharedFiles.architecture(architecture);
    QuantizationSettings settings = settings(Method.GPTQ, Target.PLAIN, true);
    Outcome one = quantize(checkpoint, settings, 1);
    Outcome many = quantize(checkpoint, settings, 4);
    assertThat(many.withoutTimes()).isEqualTo(one.withoutTimes());
    assertThat(many.output().resolve("model.safetensors"))
        .hasSameBinaryContentAs(one.output().resolve("model.safetensors"));
  }

  @ParameterizedTest
  @CsvSource({"mixtral, block_sparse_moe.experts.4.w2", "qwen3-moe, mlp.experts.13.up_proj"})
  void damagedExpertIsNamedOnce(String architecture, String module) throws IOException {
    Path checkpoint = checkpoint(architecture);
    String name = "model.layers.1." + module;
    damage(checkpoint, name + ".weight");
    for (int lanes : new int[] {1, 4}) {
      assertThatThrownBy(
              () -> quantize(checkpoint, settings(Method.RTN, Target.PLAIN, true), lanes))
          .isExactlyInstanceOf(BadInputException.class)
          .hasMessageContaining(name + ".weight has 1 NaN or infinite weights")
          .hasNoSuppressedExceptions();
      assertThat(folder.resolve("lanes-" + lanes)).doesNotExist();
    }
  }

  /** Makes the first element of a float32 tensor infinite. */
  private static void damage(Path checkpoint, String tensor) throws IOException {
    try (Stream<Path> files = Files.list(checkpoint);
        Model model = Model.open(checkpoint)) {
      Path file =
          files.filter(f -> f.toString().endsWith(".safetensors")).findFirst().orElseThrow();
      byte[] wanted = new byte[64];
      MemorySegment.ofArray(wanted)
          .copyFrom(model.checkpoint().require(tensor).data().asSlice(0, wanted.length));
      byte[] all = Files.readAllBytes(file);
      int at = Bytes.indexOf(all, wanted);
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        assertThat(channel.write(ByteBuffer.wrap(new byte[] {0, 0, (byte) 0x80, (byte) 0x7f}), at))
            .isEqualTo(4);
      }
    }
  }

  @Test
  void wavesAreBoundedByTokensAndBytes() throws IOException {
    try (Model model = Model.open(checkpoint("qwen3-moe"))) {
      List<Step> steps = model.spec().blocks().get(1).steps();
      List<Stretch> stretches = Stretch.of(steps);
      assertThat(stretches.stream().filter(Stretch::isExpert)).hasSize(21);
      assertThat(stretches.getFirst().from()).isZero();
      assertThat(stretches.getLast().to()).isEqualTo(steps.size());
      // What precedes the experts goes alone, then as many as have no more rows than tokens, of
      // those that would have them all if each of the 21 got as many.
      assertThat(ExpertWave.end(stretches, 0, steps, gather -> 1, 10)).isEqualTo(1);
      assertThat(ExpertWave.end(stretches, 1, steps, gather -> 1, 10)).isEqualTo(11);
      assertThat(ExpertWave.end(stretches, 1, steps, gather -> 100, 10)).isEqualTo(2);
      assertThat(ExpertWave.end(stretches, 1, steps, gather -> 0, 0)).isEqualTo(11);
      assertThat(ExpertWave.hessianBytes(stretches.get(1), steps)).isEqualTo(4L * 32 * 32);
    }
  }

  /** Batches of small experts are as large as leave one for each lane, up to four times. */
  @Test
  void smallExpertsHaveLargeBatches() throws IOException {
    try (Model model = Model.open(checkpoint("qwen3-moe"))) {
      assertThat(Dealing.batchTokens(model.spec(), windows(8, 8192))).isEqualTo(8192);
      assertThat(Dealing.batchTokens(model.spec(), windows(16, 8192))).isEqualTo(16384);
      assertThat(Dealing.batchTokens(model.spec(), windows(80, 8192))).isEqualTo(32768);
      assertThat(CodesAside.serves(model.spec())).isFalse();
    }
    try (Model model =
        Model.open(RandomCheckpoint.write(folder.resolve("dense"), TinyConfigs.json("llama"), 7))) {
      assertThat(Dealing.batchTokens(model.spec(), windows(80, 8192))).isEqualTo(8192);
      // Gate and up have 64 rows of 32 inputs each, and a scale and a zero point for 16 of them.
      assertThat(CodesAside.bytes(model.spec(), settings(Method.GPTQ, Target.PLAIN, true)))
          .isEqualTo(2 * 64 * (32 + 2 * 8));
    }
  }

  private static List<int[]> windows(int count, int length) {
    return Collections.nCopies(count, new int[length]);
  }

  /**
   * What is solved at the same time is counted as if all of it came to its largest together, which
   * it may or may not do.
   */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void memoryOfManyExpertsIsForeseen(boolean sequential) throws IOException {
    QuantizationSettings settings = settings(Method.GPTQ, Target.PLAIN, sequential);
    Path checkpoint = checkpoint("qwen3-moe");
    long peak = quantize(checkpoint, settings, 5).peak();
    try (Backend backend = Backends.open("simd", options(5), refused -> {});
        Model model = Model.open(checkpoint)) {
      MemoryEstimate estimate =
          Forecast.of(
                  backend,
                  model.spec(),
                  model::weights,
                  settings,
                  windows(model),
                  Activations.KEPT,
                  StatePlaces.all(HiddenStates.DEVICE))
              .memory();
      assertThat(estimate.tensors()).isBetween(peak, peak + peak / 4);
    }
  }
}
