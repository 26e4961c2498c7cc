package dev.gptq.quantizer.study;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.TextModel;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * How far a quantized model is from its original on a text, and how far the original is from itself
 * rounded to nearest with the same bits, groups, grid and types: what the algorithm was good for.
 *
 * @param quantized of the quantized model
 * @param rounded of the rounded one; empty where the quantized model is that
 * @param windows of the text
 * @param length tokens of a window
 */
public record QualityCheck(
    Divergence quantized, Optional<Divergence> rounded, int windows, int length) {

  /**
   * Measures both. The rounded model is made anew, in Java's heap, see {@link #heap}.
   *
   * @param original the full-precision model
   * @param quantized what was made of it
   * @param settings what was done to most of its modules
   * @param windows the text in tokens
   * @param notes hears if the models do not fit into memory whole
   */
  public static QualityCheck of(
      Model original,
      Model quantized,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      Backend backend,
      Loading loading,
      MeasuringListener listener,
      Consumer<String> notes) {
    Loading fitting =
        loading.resolve(backend, ImmutableList.of(original, quantized), windows, notes);
    int length = windows.getFirst().length;
    try (TextModel base = fitting.load(backend, original, ImmutableMap.of())) {
      Divergence made;
      try (TextModel loaded = fitting.load(backend, quantized, ImmutableMap.of())) {
        made = Divergence.of(base, loaded, windows, listener.evaluating(windows.size()));
      }
      if (settings.method() == Method.RTN) {
        return new QualityCheck(made, Optional.empty(), windows.size(), length);
      }
      ImmutableMap<String, PackedMatrix> packed = rounded(original, settings, backend, listener);
      try (TextModel loaded = fitting.load(backend, original, packed)) {
        Divergence rounded =
            Divergence.of(base, loaded, windows, listener.evaluating(windows.size()));
        return new QualityCheck(made, Optional.of(rounded), windows.size(), length);
      }
    }
  }

  private static ImmutableMap<String, PackedMatrix> rounded(
      Model original, QuantizationSettings settings, Backend backend, MeasuringListener listener) {
    QuantizationSettings rounding =
        new QuantizationSettings(
            Method.RTN,
            settings.options(),
            Target.PLAIN,
            Curvature.INPUTS,
            settings.trueSequential(),
            settings.include(),
            settings.exclude(),
            settings.types(),
            settings.precisions(),
            Optional.empty());
    MemoryStore store = new MemoryStore();
    new QuantizationJob(
            backend,
            original.spec(),
            original.weights(backend),
            rounding,
            ImmutableList.of(),
            store,
            listener.quantizing("rounding to nearest"))
        .run();
    return store.packed();
  }

  /** Bytes of Java's heap that the rounded model takes: codes, and float32 scales and offsets. */
  public static long heap(Model original, QuantizationSettings settings) {
    if (settings.method() == Method.RTN) {
      return 0;
    }
    return original.spec().blocks().stream()
        .mapToLong(block ->
            block
                .linears()
                .filter(linear -> settings.selection().test(block.nameOf(linear)))
                .mapToLong(linear -> bytes(linear, settings.optionsOf(block.nameOf(linear))))
                .sum())
        .sum();
  }

  private static long bytes(LinearSpec linear, GptqOptions options) {
    long groups =
        options.groupSize() == GptqOptions.PER_ROW ? 1 : linear.inputs() / options.groupSize();
    long numbers = options.grid().scheme().hasZeroPoint() ? 2 : 1;
    return (long) linear.outputs()
        * ((long) linear.inputs() * options.grid().bits() / 8 + 4 * numbers * groups);
  }
}
