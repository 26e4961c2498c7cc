package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * Tunes the codes and scales of a whole quantized model at once, so that its predictions come close
 * to those of the full-precision model: sign descent of {@code Σ KL(full ‖ quantized)} over the
 * positions of {@value Tuning#WINDOWS} windows a step, straight through the roundings ({@link
 * dev.gptq.backend.TuningOps}). A held-out part of the text is looked at every so often; the state
 * that is best there is kept, and where it stops gaining tuning stops.
 *
 * <p>Memory of the backend: the model's weights, for each of those that are tuned ten bytes more,
 * what the last block of the full-precision model leaves behind for all windows, and a backward
 * pass.
 */
public final class Tuner {
  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final Tuning tuning;
  private final TuningText text;

  /** Hears of looks at the held-out text as they come. */
  @FunctionalInterface
  public interface Listener {
    /** A look. */
    void look(TuningOutcome.Look look);
  }

  /** Takes over the modules of a block that tuning has changed, by full name. */
  @FunctionalInterface
  public interface Result {
    /** A block; called for all of them in order. */
    void block(int index, ImmutableMap<String, PackedMatrix> modules);
  }

  private record Place(int block, String module) {}

  /** A tuner of a model of which gradients can be taken; the source has its full precision. */
  public Tuner(
      Backend backend, DecoderSpec spec, WeightSource source, Tuning tuning, TuningText text) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.tuning = tuning;
    this.text = text;
  }

  /**
   * Tunes.
   *
   * @param modules the quantized modules of a block by description, asked for once a block; those
   *     that are not quantized stay as they are
   * @param result hears of tuned blocks, unless the first state was the best
   */
  public TuningOutcome run(
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules,
      Listener listener,
      Result result) {
    long start = System.nanoTime();
    try (Decoder decoder = new Decoder(backend, spec, source);
        TensorScope scope = backend.newScope()) {
      Answers training = new Answers(decoder, text.training(), scope);
      Answers heldOut = new Answers(decoder, text.heldOut(), scope);
      Map<Place, TunedMatrix> matrices = load(decoder, modules, scope);
      List<TuningOutcome.Look> looks = new ArrayList<>();
      double best = look(looks, 0, Double.NaN, heldOut, listener);
      BackwardPass backward = decoder.backward();
      WindowOrder order = new WindowOrder(text.training().size());
      double divergence = 0;
      int sinceLook = 0;
      int inVain = 0;
      for (int step = 0; step < tuning.steps() && inVain < Tuning.PATIENCE; step++) {
        divergence += step(step, training.of(order.next(Tuning.WINDOWS)), backward, matrices);
        sinceLook++;
        if ((step + 1) % tuning.stepsOfLook() == 0 || step + 1 == tuning.steps()) {
          double now = look(looks, step + 1, divergence / sinceLook, heldOut, listener);
          divergence = 0;
          sinceLook = 0;
          inVain++;
          if (now < best) {
            best = now;
            inVain = 0;
            matrices.values().forEach(TunedMatrix::keep);
          }
        }
      }
      long weights = matrices.values().stream().mapToLong(TunedMatrix::weights).sum();
      if (best < looks.getFirst().heldOut()) {
        give(matrices, result);
      }
      return new TuningOutcome(
          ImmutableList.copyOf(looks), text.tokens(), weights, (System.nanoTime() - start) / 1e9);
    }
  }

  /** The bytes of tensors that tuning takes, by one step on a rehearsal. */
  public static long bytes(
      Rehearsal rehearsal,
      DecoderSpec spec,
      WeightSource source,
      TuningText text,
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules) {
    new Tuner(rehearsal, spec, source, Tuning.of(1), text)
        .run(modules, look -> {}, (block, tuned) -> {});
    return rehearsal.memory().peak();
  }

  private Map<Place, TunedMatrix> load(
      Decoder decoder,
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules,
      TensorScope scope) {
    Map<Place, TunedMatrix> matrices = new LinkedHashMap<>();
    for (int b = 0; b < spec.blocks().size(); b++) {
      int block = b;
      Function<LinearSpec, Optional<KeptGrid>> kept = modules.apply(b);
      for (LinearSpec linear : spec.blocks().get(b).linears().toList()) {
        kept.apply(linear)
            .ifPresent(grid ->
                matrices.put(
                    new Place(block, linear.module()),
                    TunedMatrix.of(backend, grid, decoder.block(block).dense(linear), scope)));
      }
    }
    return matrices;
  }

  /** One step; returns the mean divergence before it. */
  private double step(
      int step, Answers.Batch batch, BackwardPass backward, Map<Place, TunedMatrix> matrices) {
    float size = tuning.stepSize(step);
    try (batch) {
      backward.run(
          batch.windows(),
          (logits, round, from, dLogits) -> batch.compare(logits, from, dLogits),
          (block, module, input, gradient) -> {
            TunedMatrix matrix = matrices.get(new Place(block, module.module()));
            if (matrix != null) {
              matrix.descend(input, gradient, size);
            }
          });
      matrices.values().forEach(TunedMatrix::show);
      return batch.divergence();
    }
  }

  private double look(
      List<TuningOutcome.Look> looks,
      int step,
      double training,
      Answers heldOut,
      Listener listener) {
    double sum = 0;
    for (int from = 0; from < text.heldOut().size(); from += Tuning.WINDOWS) {
      int to = Math.min(from + Tuning.WINDOWS, text.heldOut().size());
      int[] some = IntStream.range(from, to).toArray();
      try (Answers.Batch batch = heldOut.of(some)) {
        sum += batch.run() * some.length;
      }
    }
    TuningOutcome.Look look = new TuningOutcome.Look(step, training, sum / text.heldOut().size());
    looks.add(look);
    listener.look(look);
    return look.heldOut();
  }

  private void give(Map<Place, TunedMatrix> matrices, Result result) {
    for (int b = 0; b < spec.blocks().size(); b++) {
      BlockSpec block = spec.blocks().get(b);
      ImmutableMap.Builder<String, PackedMatrix> modules = ImmutableMap.builder();
      for (LinearSpec linear : block.linears().toList()) {
        TunedMatrix matrix = matrices.get(new Place(b, linear.module()));
        if (matrix != null) {
          modules.put(block.nameOf(linear), matrix.best());
        }
      }
      result.block(b, modules.buildOrThrow());
    }
  }
}
