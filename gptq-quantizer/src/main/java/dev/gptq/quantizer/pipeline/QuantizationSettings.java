package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Precision;
import dev.gptq.quantize.GptqOptions;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * What is done to a model.
 *
 * @param method GPTQ or rounding to nearest
 * @param options bits, groups, order, damping
 * @param target what each layer's weights are to come close to
 * @param curvature what is taken into account of how much a layer's errors cost
 * @param trueSequential whether a module is calibrated with the earlier modules of its own block
 *     already quantized
 * @param include only modules whose full name this matches somewhere; all if empty
 * @param exclude no modules whose full name this matches somewhere
 * @param types of llama.cpp, by full name, for modules whose grid and groups are those of a type
 *     and not those of the options
 * @param precisions by full name, for modules whose bits and group size are not those of the
 *     options
 * @param importance of the columns as another program found it, in place of a calibration text
 */
public record QuantizationSettings(
    Method method,
    GptqOptions options,
    Target target,
    Curvature curvature,
    boolean trueSequential,
    Optional<Pattern> include,
    Optional<Pattern> exclude,
    ImmutableMap<String, GgufType> types,
    ImmutableMap<String, Precision> precisions,
    Optional<Importance> importance) {

  /** How codes are chosen. */
  public enum Method {
    /** Rounding to nearest. */
    RTN,
    /** GPTQ. */
    GPTQ
  }

  /** With the same options for all modules. */
  public QuantizationSettings(
      Method method,
      GptqOptions options,
      Target target,
      Curvature curvature,
      boolean trueSequential,
      Optional<Pattern> include,
      Optional<Pattern> exclude) {
    this(
        method,
        options,
        target,
        curvature,
        trueSequential,
        include,
        exclude,
        ImmutableMap.of(),
        ImmutableMap.of(),
        Optional.empty());
  }

  /** True-sequential, all modules. */
  public static QuantizationSettings of(Method method, GptqOptions options) {
    return new QuantizationSettings(
        method, options, Target.PLAIN, Curvature.INPUTS, true, Optional.empty(), Optional.empty());
  }

  /** The same with what is known of columns and nothing else that needs a calibration text. */
  public QuantizationSettings withImportance(Importance known) {
    return new QuantizationSettings(
        method,
        options,
        Target.PLAIN,
        Curvature.INPUTS,
        trueSequential,
        include,
        exclude,
        types,
        precisions,
        Optional.of(known));
  }

  /** Whether a text has to pass through the model. */
  public boolean needsText() {
    return method == Method.GPTQ && importance.isEmpty();
  }

  /** Whether the full-precision activations have to pass through the model as well. */
  public boolean needsFullPrecision() {
    return method == Method.GPTQ && target.needsFullPrecision();
  }

  /** The same with another target. */
  public QuantizationSettings withTarget(Target other) {
    return new QuantizationSettings(
        method,
        options,
        other,
        curvature,
        trueSequential,
        include,
        exclude,
        types,
        precisions,
        importance);
  }

  /** The same with another curvature. */
  public QuantizationSettings withCurvature(Curvature other) {
    return new QuantizationSettings(
        method,
        options,
        target,
        other,
        trueSequential,
        include,
        exclude,
        types,
        precisions,
        importance);
  }

  /** Whether gradients of the loss are taken before the first block. */
  public boolean needsGradients() {
    return method == Method.GPTQ && curvature.needsGradients();
  }

  /** The same with other options of the algorithm. */
  public QuantizationSettings withOptions(GptqOptions other) {
    return new QuantizationSettings(
        method,
        other,
        target,
        curvature,
        trueSequential,
        include,
        exclude,
        types,
        precisions,
        importance);
  }

  /** The same with types of llama.cpp for modules. */
  public QuantizationSettings withTypes(ImmutableMap<String, GgufType> other) {
    return new QuantizationSettings(
        method,
        options,
        target,
        curvature,
        trueSequential,
        include,
        exclude,
        other,
        precisions,
        importance);
  }

  /** The same with bits and group sizes of their own for modules. */
  public QuantizationSettings withPrecisions(ImmutableMap<String, Precision> other) {
    return new QuantizationSettings(
        method,
        options,
        target,
        curvature,
        trueSequential,
        include,
        exclude,
        types,
        other,
        importance);
  }

  /** The options of the module of that full name. */
  public GptqOptions optionsOf(String module) {
    GgufType type = types.get(module);
    Precision precision = precisions.get(module);
    if (type != null) {
      return TypeOptions.of(options, type);
    }
    return precision == null
        ? options
        : options
            .withGrid(options.grid().withBits(precision.bits()))
            .withGroupSize(precision.groupSize());
  }

  /** Whether the module of that full name is to be quantized. */
  public Predicate<String> selection() {
    return name ->
        include.map(pattern -> pattern.matcher(name).find()).orElse(true)
            && !exclude.map(pattern -> pattern.matcher(name).find()).orElse(false);
  }
}
