package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.Served;
import dev.gptq.quantizer.export.Server;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.observe.FusedModules;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Residuals;
import dev.gptq.quantizer.pipeline.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/** What is allowed but seldom meant, found in the settings of a run before it begins. */
final class PlanNotes {
  /** Tokens for each input feature below which GPTQ fits the text and not the model. */
  private static final int TOKENS_PER_FEATURE = 2;

  private final Model model;
  private final QuantizationSettings settings;
  private final List<String> notes = new ArrayList<>();

  private PlanNotes(Model model, QuantizationSettings settings) {
    this.model = model;
    this.settings = settings;
  }

  static ImmutableList<String> of(Model model, RunRequest request, ImmutableList<int[]> windows) {
    PlanNotes plan = new PlanNotes(model, request.settings());
    plan.notes.addAll(model.warnings());
    plan.pattern("--include", plan.settings.include());
    plan.pattern("--exclude", plan.settings.exclude());
    plan.split();
    plan.refusals(request);
    plan.roundedAgain(request);
    plan.residual();
    plan.fewTokens(windows);
    return ImmutableList.copyOf(plan.notes);
  }

  private void pattern(String option, Optional<Pattern> pattern) {
    boolean idle =
        pattern.isPresent()
            && model.spec().linearNames().noneMatch(name -> pattern.get().matcher(name).find());
    if (idle) {
      BlockSpec first = model.spec().blocks().getFirst();
      notes.add(
          option
              + " "
              + pattern.get()
              + " matches no module; names are like "
              + first.nameOf(first.linears().findFirst().orElseThrow())
              + ", and embedding and output layer are never quantized");
    }
  }

  private void split() {
    FusedModules.split(model.spec(), settings.selection())
        .ifPresent(split ->
            notes.add(
                "%s is quantized and %s is not; servers such as vLLM make one module of them"
                        .formatted(split.taken().getFirst(), split.left().getFirst())
                    + " and refuse that: select all or none"));
  }

  /** What programs that read the formats will say of the model. */
  private void refusals(RunRequest request) {
    Served what =
        served(model, settings, request.base(), request.observing().isPresent()).withoutSplit();
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      Server.refusals(checkpoint.format().id(), what).ifPresent(notes::add);
    }
  }

  /** Codes of four bits that a format could have kept. */
  private void roundedAgain(RunRequest request) {
    if (request.checkpoints().stream().noneMatch(c -> c.format() instanceof GgufFormat)) {
      return;
    }
    ImmutableList<String> modules =
        model
            .spec()
            .linearNames()
            .filter(settings.selection().and(model::isMxfp4))
            .collect(ImmutableList.toImmutableList());
    if (!modules.isEmpty()) {
      notes.add(
          "%d modules, such as %s, are stored as MXFP4 and are rounded once more; --exclude experts keeps them as they are in a GGUF file"
              .formatted(modules.size(), modules.getFirst()));
    }
  }

  /** What will have become of the model. */
  static Served served(
      Model model, QuantizationSettings settings, ModuleSettings base, boolean mixed) {
    return Served.of(model, settings.selection(), ImmutableList.of(base), mixed);
  }

  private void residual() {
    if (settings.method() == Method.GPTQ && settings.target().kind() == Target.Kind.RESIDUAL) {
      ImmutableList<String> unreached = Residuals.unreached(model.spec());
      if (!unreached.isEmpty()) {
        notes.add(
            "target residual: the outputs of "
                + String.join(", ", unreached)
                + " are changed on their way to the residual stream, so these modules make up for"
                + " errors of their input only (qep)");
      }
    }
  }

  private void fewTokens(ImmutableList<int[]> windows) {
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    int widest =
        model.spec().blocks().stream()
            .flatMap(BlockSpec::linears)
            .mapToInt(LinearSpec::inputs)
            .max()
            .orElse(0);
    long enough = (long) TOKENS_PER_FEATURE * widest;
    if (tokens > 0 && tokens < enough) {
      notes.add(
          String.format(
              Locale.ROOT,
              "%d calibration tokens are few for modules of up to %d inputs: what they say is damped,"
                  + " and GPTQ gains less than it could; give %d at least with --samples or --seq-len",
              tokens,
              widest,
              enough));
    }
  }
}
