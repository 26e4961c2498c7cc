package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.tensor.OutOfMemoryException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** Whether a run fits into memory; if it does not, which option would make it fit. */
final class MemoryFit {
  private final Backend backend;
  private final Model model;
  private final QuantizationSettings settings;
  private final ImmutableList<int[]> windows;
  private final Optional<HiddenStates> states;

  MemoryFit(
      Backend backend,
      Model model,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      Optional<HiddenStates> states) {
    this.backend = backend;
    this.model = model;
    this.settings = settings;
    this.windows = windows;
    this.states = states;
  }

  /**
   * Throws {@link OutOfMemoryException} with what would help if the backend or the heap lacks room.
   */
  void require(Forecast forecast) {
    requireHeap(HeapEstimate.of(model.spec(), settings, windows), Runtime.getRuntime().maxMemory());
    requireRoom(forecast.memory().tensors(), backend.memory().most());
  }

  /**
   * The settings by the curvature of the inputs, if that is what makes a run fit.
   *
   * @param forecast of the settings as they are
   * @param room bytes of tensors that there is room for
   * @param notes hears what is left out, and why
   */
  Optional<QuantizationSettings> withoutGradients(
      Forecast forecast, long room, Consumer<String> notes) {
    long needed = forecast.memory().tensors();
    if (needed <= room || !settings.needsGradients()) {
      return Optional.empty();
    }
    QuantizationSettings inputs = settings.withCurvature(Curvature.INPUTS);
    long without =
        Forecast.within(room, backend, model.spec(), model::weights, inputs, windows, states)
            .memory()
            .tensors();
    if (without > room) {
      return Optional.empty();
    }
    notes.accept(
        "with gradients of the whole model the run needs about %d MiB of tensors, and %s has room for %d MiB; curvature of the inputs only (%d MiB)"
            .formatted(needed >> 20, backend.info().device(), room >> 20, without >> 20));
    return Optional.of(inputs);
  }

  /** Throws if the heap is smaller than what must be in it. */
  static void requireHeap(long needed, long allowed) {
    if (needed > allowed) {
      throw new OutOfMemoryException(
          "no memory: the run needs about %d MiB of Java heap, which may take %d MiB. Give it more, as with GPTQ_JAVA_OPTS=-Xmx%dg"
              .formatted(needed >> 20, allowed >> 20, ((needed + needed / 4) >> 30) + 1));
    }
  }

  /** Throws if tensors would take more than there is. */
  void requireRoom(long needed, long room) {
    if (needed > room) {
      throw new OutOfMemoryException(
          "no memory: the run needs about %d MiB of tensors, and %s has room for %d MiB. %s"
              .formatted(needed >> 20, backend.info().device(), room >> 20, advice(room)));
    }
  }

  /** Throws if the model, of which a budget of bits measures the predictions, is too large. */
  void requireWhole(Loading fitting) {
    if (fitting == Loading.BLOCKS) {
      throw new OutOfMemoryException(
          "no memory: --target-bpw measures the whole model %s, which does not fit into %s. --observe N looks at one module at a time; --backend simd has the machine's memory"
              .formatted(model.path(), backend.info().device()));
    }
  }

  /** Throws if a budget of bits, which takes gradients of the model, needs more than there is. */
  void requireGradients(long needed) {
    long room = backend.memory().most();
    if (needed > room) {
      throw new OutOfMemoryException(
          "no memory: --target-bpw takes gradients of the whole model %s and about %d MiB of tensors, and %s has room for %d MiB. --observe N looks at one module at a time; --backend simd has the machine's memory"
              .formatted(model.path(), needed >> 20, backend.info().device(), room >> 20));
    }
  }

  private String advice(long room) {
    List<String> fitting = new ArrayList<>();
    QuantizationSettings plain = settings.withTarget(Target.PLAIN);
    QuantizationSettings fast =
        plain
            .withOptions(Quality.FAST.apply(settings.options()))
            .withCurvature(Quality.FAST.curvature());
    if (settings.needsGradients()) {
      QuantizationSettings inputs = settings.withCurvature(Curvature.INPUTS);
      tryOption("--curvature inputs", inputs, windows.size(), room, fitting);
    }
    if (settings.needsFullPrecision()) {
      tryOption("--target plain", plain, windows.size(), room, fitting);
    }
    if (!fast.equals(settings)) {
      tryOption("--quality fast", fast, windows.size(), room, fitting);
    }
    for (int samples = windows.size() / 2; samples > 0; samples /= 2) {
      if (tryOption("--samples " + samples, settings, samples, room, fitting)) {
        break;
      }
    }
    if (fitting.isEmpty() && windows.size() > 1) {
      tryOption("--quality fast --samples 1", fast, 1, room, fitting);
    }
    return fitting.isEmpty()
        ? "No option makes it fit; take a machine with more memory"
        : "It would fit with " + String.join(", or with ", fitting);
  }

  private boolean tryOption(
      String option, QuantizationSettings other, int samples, long room, List<String> fitting) {
    long needed =
        Forecast.within(
                room,
                backend,
                model.spec(),
                model::weights,
                other,
                windows.subList(0, samples),
                states)
            .memory()
            .tensors();
    if (needed <= room) {
      fitting.add("%s (%d MiB)".formatted(option, needed >> 20));
    }
    return needed <= room;
  }
}
