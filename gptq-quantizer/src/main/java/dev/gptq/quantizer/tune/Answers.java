package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.forward.Decoder;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;

/**
 * What a model with its full precision predicts for windows of text, kept as what its last block
 * leaves behind, of which logits are made when they are compared with.
 */
final class Answers {
  private final Backend backend;
  private final Decoder decoder;
  private final ImmutableList<int[]> windows;
  private final Tensor streams;

  /** Asks the model, whose weights change afterwards but for its head. */
  Answers(Decoder decoder, ImmutableList<int[]> windows, TensorScope scope) {
    this.backend = decoder.backend();
    this.decoder = decoder;
    this.windows = windows;
    int length = windows.getFirst().length;
    this.streams =
        scope.rowMajor(
            backend.activationType(),
            Math.multiplyExact(windows.size(), length),
            decoder.spec().hidden());
    for (int from = 0; from < windows.size(); from += Tuning.WINDOWS) {
      int to = Math.min(from + Tuning.WINDOWS, windows.size());
      try (TensorScope local = backend.newScope()) {
        Tensor stream = decoder.stream(windows.subList(from, to), local);
        backend.linalg().convert(stream, streams.rows(from * length, to * length));
      }
      if (backend instanceof Rehearsal) {
        // All batches take the same memory.
        return;
      }
    }
  }

  /** Some windows, to be compared with what another model makes of them. */
  Batch of(int... indices) {
    return new Batch(indices);
  }

  /** Windows with their answers. */
  final class Batch implements AutoCloseable {
    private final TensorScope scope = backend.newScope();
    private final List<int[]> some;
    private final Tensor stream;
    private final double[] sums;

    private Batch(int[] indices) {
      this.some = Arrays.stream(indices).mapToObj(windows::get).toList();
      this.sums = new double[indices.length];
      int length = some.getFirst().length;
      this.stream =
          scope.rowMajor(
              streams.type(), Math.multiplyExact(some.size(), length), streams.columns());
      for (int i = 0; i < indices.length; i++) {
        int from = indices[i] * length;
        backend
            .linalg()
            .convert(streams.rows(from, from + length), stream.rows(i * length, (i + 1) * length));
      }
    }

    List<int[]> windows() {
      return some;
    }

    /** Writes the gradient of the divergence of logits from the position {@code from} on. */
    void compare(Tensor logits, int from, Tensor dLogits) {
      try (TensorScope local = backend.newScope()) {
        Tensor base = decoder.logitsOf(stream.rows(from, from + logits.rows()), local);
        Tensor divergence = local.rowMajor(DType.F32, 1, logits.rows());
        backend.gradients().divergenceGradient(logits, base, divergence, dLogits);
        add(from, divergence);
      }
    }

    private void add(int from, Tensor divergences) {
      int position = from;
      for (float each : HostCopies.floats(divergences)) {
        sums[position / some.getFirst().length] += each;
        position++;
      }
    }

    /**
     * Runs the model as it is now; the mean divergence of its predictions from the answers in each
     * window.
     */
    double[] run() {
      Tensor now = decoder.stream(some, scope);
      decoder.forRuns(
          now.rows(),
          (from, to) -> {
            try (TensorScope local = backend.newScope()) {
              Tensor found = local.rowMajor(DType.F32, 4, to - from);
              backend
                  .transformer()
                  .divergence(
                      decoder.logitsOf(now.rows(from, to), local),
                      decoder.logitsOf(stream.rows(from, to), local),
                      local.upload(new int[to - from]),
                      found);
              add(from, found.rows(0, 1));
            }
          });
      return Arrays.stream(sums).map(sum -> sum / some.getFirst().length).toArray();
    }

    /** The mean divergence of all positions that were compared. */
    double divergence() {
      return Arrays.stream(sums).sum() / stream.rows();
    }

    @Override
    public void close() {
      scope.close();
    }
  }
}
