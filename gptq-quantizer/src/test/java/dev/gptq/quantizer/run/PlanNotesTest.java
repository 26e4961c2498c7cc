package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.store.OutputLock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/** What a plan says before the work begins. */
class PlanNotesTest {
  private static final Optional<Pattern> NONE = Optional.empty();

  @TempDir Path folder;

  private ImmutableList<String> notes(
      String architecture, Target target, Optional<Pattern> include, Optional<Pattern> exclude)
      throws IOException {
    Path fresh = Files.createTempDirectory(folder, architecture).resolve("m");
    Path model = RandomCheckpoint.write(fresh, TinyConfigs.json(architecture), 1);
    QuantizationSettings settings =
        new QuantizationSettings(
            Method.GPTQ, options(32), target, Curvature.INPUTS, true, include, exclude);
    try (QuantizationPlan plan = quantization(model, settings).plan()) {
      return plan.notes();
    }
  }

  private static GptqOptions options(int groupSize) {
    return GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), groupSize);
  }

  /** In a format about which nothing is said. */
  private Quantization quantization(Path model, QuantizationSettings settings) {
    return ofAnyFormat(model, settings).format("compressed-tensors");
  }

  private Quantization ofAnyFormat(Path model, QuantizationSettings settings) {
    int[] window = new int[64];
    return Quantization.of(model)
        .settings(settings)
        .windows(ImmutableList.of(window, window, window, window))
        .to(folder.resolve("out"));
  }

  private ImmutableList<String> notes(String architecture, GridSpec grid) throws IOException {
    Path fresh = Files.createTempDirectory(folder, architecture).resolve("m");
    Path model = RandomCheckpoint.write(fresh, TinyConfigs.json(architecture), 1);
    QuantizationSettings settings = QuantizationSettings.of(Method.GPTQ, GptqOptions.of(grid, 32));
    try (QuantizationPlan plan = ofAnyFormat(model, settings).plan()) {
      return plan.notes();
    }
  }

  private static Optional<Pattern> pattern(String regex) {
    return Optional.of(Pattern.compile(regex));
  }

  @Test
  void soundPlansSayNothing() throws IOException {
    assertThat(notes("llama", Target.PLAIN, NONE, NONE)).isEmpty();
    assertThat(notes("llama", Target.PLAIN, pattern("mlp"), pattern("down_proj"))).isEmpty();
  }

  @Test
  void patternsThatMatchNothingAreTold() throws IOException {
    assertThat(notes("llama", Target.PLAIN, NONE, pattern("lm_head")))
        .singleElement()
        .asString()
        .contains("--exclude lm_head matches no module", "model.layers.0.self_attn.k_proj");
  }

  @Test
  void compressedTensorsIsTakenWhereServersWouldRefuseTheOther() throws IOException {
    assertThat(notes("llama", GridSpec.of(Scheme.SYMMETRIC, 4))).isEmpty();
    assertThat(notes("llama", GridSpec.of(Scheme.SYMMETRIC, 2)))
        .containsExactly(
            "vLLM would refuse such a model as gptq, so it is written as compressed-tensors",
            "warning: format compressed-tensors: SGLang refuses other widths than 4 and 8 bits");
    assertThat(notes("llama", GridSpec.of(Scheme.ASYMMETRIC, 4)).getFirst())
        .isEqualTo(
            "vLLM and SGLang would refuse such a model as gptq_v2, so it is written as"
                + " compressed-tensors");
    assertThat(notes("mixtral", GridSpec.of(Scheme.SYMMETRIC, 4)))
        .containsExactly(
            "transformers would leave layers out of such a model as gptq, so it is written as"
                + " compressed-tensors");
    assertThat(notes("mixtral", Target.PLAIN, NONE, pattern("layers\\.0\\..*experts")))
        .contains(
            "warning: format compressed-tensors: transformers refuses mixtures of which experts were"
                + " left out");
    assertThat(notes("llama", GridSpec.of(Scheme.ASYMMETRIC, 2)))
        .singleElement()
        .asString()
        .startsWith("warning: format gptq_v2: vLLM refuses gptq but for 4 and 8 bits, symmetric");
  }

  @Test
  void scatteredGroupsAreTold() throws IOException {
    Path model = RandomCheckpoint.write(folder.resolve("m"), TinyConfigs.json("llama"), 1);
    GptqOptions act = options(32).withOrder(ColumnOrder.ACTIVATION);
    try (QuantizationPlan plan =
        ofAnyFormat(model, QuantizationSettings.of(Method.GPTQ, act)).plan()) {
      assertThat(plan.notes())
          .singleElement()
          .asString()
          .isEqualTo("warning: format gptq: vLLM refuses scattered groups");
    }
    GptqOptions kept = act.withStaticGroups(true);
    try (QuantizationPlan plan =
        ofAnyFormat(model, QuantizationSettings.of(Method.GPTQ, kept)).plan()) {
      assertThat(plan.notes()).isEmpty();
    }
  }

  @Test
  void splitGroupsAreTold() throws IOException {
    assertThat(notes("llama", Target.PLAIN, NONE, pattern("k_proj")))
        .singleElement()
        .asString()
        .contains(
            "model.layers.0.", "self_attn.k_proj is not", "self_attn.v_proj is", "one module");
    assertThat(notes("llama", Target.PLAIN, NONE, pattern("gate_proj")))
        .singleElement()
        .asString()
        .contains("mlp.up_proj is quantized and model.layers.0.mlp.gate_proj is not");
  }

  @Test
  void expertsAreTakenTogether() throws IOException {
    assertThat(notes("qwen3-moe", Target.PLAIN, NONE, pattern("experts[.]1[.]")))
        .hasSize(2)
        .first()
        .asString()
        .contains("mlp.experts.0.up_proj is quantized", "mlp.experts.1.up_proj is not");
    assertThat(notes("qwen2-moe", Target.PLAIN, NONE, pattern("shared_expert.down_proj")))
        .isEmpty();
  }

  @Test
  void normsBeforeTheResidualStreamAreTold() throws IOException {
    Target residual = new Target(Target.Kind.RESIDUAL, 0.5);
    assertThat(notes("gemma2", residual, NONE, NONE))
        .singleElement()
        .asString()
        .contains("self_attn.o_proj, mlp.down_proj", "qep");
    for (String parallel : new String[] {"gptj", "falcon", "cohere", "phi"}) {
      assertThat(notes(parallel, residual, NONE, NONE))
          .as(parallel)
          .noneMatch(note -> note.contains("qep"));
    }
    assertThat(notes("opt-post", residual, NONE, NONE)).isEmpty();
  }

  @Test
  void fewTokensAreTold() throws IOException {
    Path model = RandomCheckpoint.write(folder.resolve("m"), TinyConfigs.json("llama"), 1);
    QuantizationSettings settings = QuantizationSettings.of(Method.GPTQ, options(32));
    try (QuantizationPlan plan =
        quantization(model, settings).windows(ImmutableList.of(new int[64])).plan()) {
      assertThat(plan.notes())
          .singleElement()
          .asString()
          .contains("64 calibration tokens", "give 128 at least");
    }
  }

  @Test
  void shortTextAndCutWindowsAreTold() throws IOException {
    Path text = folder.resolve("short.txt");
    Files.writeString(text, "The captain looked at the sea. ".repeat(100));
    Quantization quantization =
        Quantization.of(SharedFiles.bundled("examples/tiny"))
            .groupSize(64)
            .to(folder.resolve("out"));
    quantization.calibration(Calibration.of(text).withSamples(80).withLength(32));
    try (QuantizationPlan plan = quantization.plan()) {
      assertThat(plan.notes())
          .hasSize(1)
          .first()
          .asString()
          .contains("so that 80 windows of 32 overlap");
    }
    Files.writeString(text, "The captain looked at the sea. ".repeat(4000));
    quantization.calibration(Calibration.of(text).withSamples(4).withLength(4096));
    try (QuantizationPlan plan = quantization.plan()) {
      assertThat(plan.notes()).singleElement().asString().contains("4096", "cut to", "context");
    }
  }

  /** Who cannot have the output is told so before the text is read. */
  @Test
  void theOutputIsLockedBeforeTheTextIsRead() throws IOException {
    Path output = folder.resolve("out");
    Quantization quantization =
        Quantization.of(SharedFiles.bundled("examples/tiny"))
            .groupSize(64)
            .to(output)
            .calibration(Calibration.of(folder.resolve("missing.txt")));
    try (OutputLock _ = OutputLock.acquire(output)) {
      assertThatThrownBy(quantization::lockedPlan)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is being written by process");
    }
    assertThatThrownBy(quantization::lockedPlan).hasMessageContaining("missing.txt");
    assertThat(folder).as("nothing is left, the lock neither").isEmptyDirectory();
    Path text = Files.writeString(folder.resolve("text.txt"), "The captain looked at the sea. ");
    quantization.calibration(Calibration.of(text).withSamples(1).withLength(4));
    try (QuantizationPlan _ = quantization.lockedPlan()) {
      assertThatThrownBy(() -> OutputLock.acquire(output)).hasMessageContaining("being written");
    }
    OutputLock.acquire(output).close();
  }

  @Test
  void groupSizesFollowTheWidths() throws IOException {
    ObjectNode config = TinyConfigs.json("llama");
    config.put("hidden_size", 64 * 9).put("head_dim", 16);
    Path model = RandomCheckpoint.write(folder.resolve("m"), config, 1);
    Quantization quantization =
        quantization(model, QuantizationSettings.of(Method.RTN, options(128)));
    assertThatThrownBy(() -> quantization.plan())
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("group size 128 does not divide the 576 inputs")
        .hasMessageContaining("give --group-size 64 or 32")
        .hasMessageContaining("auto chooses");
    try (QuantizationPlan plan = quantization.fittingGroups().plan()) {
      assertThat(plan.request().settings().options().groupSize()).isEqualTo(64);
      assertThat(plan.request().base().groupSize()).isEqualTo(64);
      assertThat(plan.notes())
          .containsExactly(
              "group size 64, the largest of 128, 64 and 32 that divides the inputs of all modules");
    }
  }
}
