package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Doubles;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A quantized model that is tuned, and what the full-precision model says of the text. */
final class TunedModel {
  private final Backend backend;
  private final Decoder decoder;
  private final WeightSource source;
  private final TuningText text;
  private final ImmutableList<int[]> read;
  private final Answers training;
  private final Answers heldOut;
  private final BackwardPass backward;
  private final Map<Place, TunedMatrix> matrices = new LinkedHashMap<>();

  private record Place(int block, LinearSpec linear) {}

  /**
   * Asks a model with its full precision, and puts quantized weights in place of its own.
   *
   * @param backward its backward pass
   * @param read the windows that gradients are taken of
   * @param modules the quantized modules of a block by description, asked for once a block
   * @param momentum of the gradients, 0 for none
   * @param scope owns all tensors
   */
  TunedModel(
      Decoder decoder,
      BackwardPass backward,
      WeightSource source,
      ImmutableList<int[]> read,
      TuningText text,
      double momentum,
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules,
      TensorScope scope) {
    this.backend = decoder.backend();
    this.decoder = decoder;
    this.backward = backward;
    this.source = source;
    this.text = text;
    this.read = read;
    this.training = new Answers(decoder, read, scope);
    this.heldOut = new Answers(decoder, text.heldOut(), scope);
    for (int b = 0; b < decoder.spec().blocks().size(); b++) {
      load(b, modules.apply(b), momentum, scope);
    }
  }

  private void load(
      int block,
      Function<LinearSpec, Optional<KeptGrid>> modules,
      double momentum,
      TensorScope scope) {
    for (LinearSpec linear : block(block).linears().toList()) {
      Optional<KeptGrid> kept = modules.apply(linear);
      if (kept.isPresent()) {
        Tensor dense = decoder.block(block).dense(linear);
        Place place = new Place(block, linear);
        try (TensorScope local = backend.newScope()) {
          Tensor original = original(place, local);
          matrices.put(
              place, TunedMatrix.of(backend, kept.get(), original, dense, momentum, scope));
        }
      }
    }
  }

  private BlockSpec block(int index) {
    return decoder.spec().blocks().get(index);
  }

  private Tensor original(Place place, TensorScope scope) {
    return source.stored(block(place.block()).nameOf(place.linear()), place.linear(), scope);
  }

  /** Goes back to the first state. */
  void restart() {
    matrices.forEach((place, matrix) -> {
      try (TensorScope local = backend.newScope()) {
        matrix.begin(original(place, local));
      }
    });
  }

  /** An order in which training windows are taken. */
  WindowOrder order() {
    return new WindowOrder(read.size());
  }

  /**
   * One step; returns the mean divergence before it.
   *
   * @param windows of the training text, by {@link #order}
   * @param size what offsets move by
   */
  double step(int[] windows, float size) {
    try (Answers.Batch batch = training.of(windows)) {
      backward.run(
          batch.windows(),
          (logits, round, from, dLogits) -> batch.compare(logits, from, dLogits),
          (block, linear, input, gradient) -> {
            TunedMatrix matrix = matrices.get(new Place(block, linear));
            if (matrix != null) {
              matrix.descend(input, gradient, size);
            }
          });
      show();
      return batch.divergence();
    }
  }

  /**
   * Tunes each block by itself; the best state stays what it is.
   *
   * @return which part of the squared errors of what they leave behind is left
   */
  double tuneBlocks(int steps) {
    double left =
        new BlockTuning(decoder, backward, source, read, steps)
            .run(
                new BlockTuning.Weights() {
                  @Override
                  public void descend(
                      int block, LinearSpec linear, Tensor input, Tensor gradient, float size) {
                    TunedMatrix matrix = matrices.get(new Place(block, linear));
                    if (matrix != null) {
                      matrix.descend(input, gradient, size);
                    }
                  }

                  @Override
                  public void show(int block) {
                    matrices.forEach((place, matrix) -> {
                      if (place.block() == block) {
                        matrix.show();
                      }
                    });
                  }
                });
    matrices.values().forEach(TunedMatrix::forget);
    return left;
  }

  /** The mean divergence in each window of the held-out text. */
  double[] heldOut() {
    List<double[]> batches = new ArrayList<>();
    for (int from = 0; from < text.heldOut().size(); from += Tuning.WINDOWS) {
      int to = Math.min(from + Tuning.WINDOWS, text.heldOut().size());
      int[] some = IntStream.range(from, to).toArray();
      try (Answers.Batch batch = heldOut.of(some)) {
        batches.add(batch.run());
      }
    }
    return Doubles.concat(batches.toArray(double[][]::new));
  }

  /** Runs with the present state. */
  void show() {
    matrices.values().forEach(TunedMatrix::show);
  }

  /** Makes the present state the best. */
  void keep() {
    matrices.values().forEach(TunedMatrix::keep);
  }

  /** Number of weights that are tuned. */
  long weights() {
    return matrices.values().stream().mapToLong(TunedMatrix::weights).sum();
  }

  /** The present state and the best, behind what is known of its course. */
  List<KeptRows> states(KeptRows course) {
    return Stream.concat(Stream.of(course), matrices.values().stream().flatMap(TunedMatrix::states))
        .collect(ImmutableList.toImmutableList());
  }

  /** Gives away the best state. */
  void give(Tuner.Result result) {
    for (int b = 0; b < decoder.spec().blocks().size(); b++) {
      ImmutableMap.Builder<String, PackedMatrix> modules = ImmutableMap.builder();
      for (LinearSpec linear : block(b).linears().toList()) {
        TunedMatrix matrix = matrices.get(new Place(b, linear));
        if (matrix != null) {
          modules.put(block(b).nameOf(linear), matrix.best());
        }
      }
      result.block(b, modules.buildOrThrow());
    }
  }
}
