package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.grid.GridSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Derivatives;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.FinishedBlocks;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.IntFunction;

/** Tunes the finished blocks of a quantization. */
public final class ModelTuning {
  private final DecoderSpec spec;
  private final QuantizationSettings settings;
  private final Tuning tuning;
  private final TuningText text;
  private final BorderPlace borders;

  /** Of blocks that were quantized with these settings. */
  public ModelTuning(
      DecoderSpec spec, QuantizationSettings settings, Tuning tuning, TuningText text) {
    this(spec, settings, tuning, text, BorderPlace.DEVICE);
  }

  private ModelTuning(
      DecoderSpec spec,
      QuantizationSettings settings,
      Tuning tuning,
      TuningText text,
      BorderPlace borders) {
    this.spec = spec;
    this.settings = settings;
    this.tuning = tuning;
    this.text = text;
    this.borders = borders;
  }

  /** The same with the residual stream before each block in some place between the two ways. */
  public ModelTuning with(BorderPlace place) {
    return new ModelTuning(spec, settings, tuning, text, place);
  }

  /** Why a model cannot be tuned that is quantized with these settings, for people. */
  public static Optional<String> refusal(DecoderSpec spec, QuantizationSettings settings) {
    if (settings.method() != QuantizationSettings.Method.GPTQ) {
      return Optional.of("rounding to nearest is not tuned");
    }
    if (!settings.needsText()) {
      return Optional.of("an importance matrix takes the place of the text");
    }
    boolean plain =
        spec.linearNames()
            .filter(settings.selection())
            .allMatch(name -> settings.optionsOf(name).blocks().isEmpty());
    if (!plain) {
      return Optional.of("scales of llama.cpp's K types are not tuned");
    }
    return Derivatives.missing(spec)
        .map(what ->
            "gradients of %s models cannot be taken: there is no derivative of %s yet"
                .formatted(spec.family(), what));
  }

  /**
   * Tunes all blocks.
   *
   * @param modules the modules of each block by full name
   * @param states where the state of the tuning is kept
   * @param finished takes the tuned ones, with the reports that they had
   */
  public TuningOutcome run(
      Backend backend,
      WeightSource source,
      IntFunction<? extends Map<String, QuantizedModule>> modules,
      FinishedBlocks finished,
      TuningStates states,
      Tuner.Listener listener) {
    return new Tuner(backend, spec, source, tuning, text, borders)
        .run(
            block -> {
              Map<String, QuantizedModule> own = modules.apply(block);
              return linear -> {
                String name = spec.blocks().get(block).nameOf(linear);
                return Optional.ofNullable(own.get(name)).map(module -> kept(name, module));
              };
            },
            states,
            listener,
            (block, tuned) -> {
              ImmutableMap.Builder<String, QuantizedModule> replaced = ImmutableMap.builder();
              for (ModuleReport report : finished.reports(block)) {
                replaced.put(report.name(), new QuantizedModule(tuned.get(report.name()), report));
              }
              finished.replace(block, replaced.buildOrThrow());
            });
  }

  private KeptGrid kept(String name, QuantizedModule module) {
    GridSpec grid = settings.optionsOf(name).grid().withBits(module.packed().bits());
    return new KeptGrid(grid, module.packed().groups(), module::packed);
  }

  /**
   * Bytes of tensors that it takes on a backend, by a rehearsal of one step.
   *
   * @param weights the model's weights for a backend; their elements are not read
   */
  public long bytes(Backend backend, Function<Backend, WeightSource> weights) {
    try (Rehearsal rehearsal = backend.rehearsal()) {
      return Tuner.bytes(
          rehearsal,
          spec,
          weights.apply(rehearsal),
          tuning,
          text,
          borders,
          block -> linear -> foreseen(spec.blocks().get(block).nameOf(linear), linear));
    }
  }

  private Optional<KeptGrid> foreseen(String name, LinearSpec linear) {
    if (!settings.selection().test(name)) {
      return Optional.empty();
    }
    GptqOptions options = settings.optionsOf(name);
    int size = options.groupSize();
    int groups = size == GptqOptions.PER_ROW ? 1 : linear.inputs() / size;
    return Optional.of(
        new KeptGrid(
            options.grid(),
            groups,
            () -> {
              throw new IllegalStateException("nothing is kept of " + name + " yet");
            }));
  }
}
