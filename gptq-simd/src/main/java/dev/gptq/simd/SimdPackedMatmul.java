package dev.gptq.simd;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;

/** Products with packed weights: a kernel of its own for few rows, {@link Gemm} for many. */
final class SimdPackedMatmul implements PackedMatmul {
  // From here on, dequantizing once for all rows costs less than reading codes for every row.
  private static final int MANY_ROWS = 8;

  private final Execution execution;

  SimdPackedMatmul(Execution execution) {
    this.execution = execution;
  }

  @Override
  public PackedWeights prepare(PackedMatrix matrix, TensorScope scope) {
    return PackedTiles.of(execution, matrix, scope);
  }

  @Override
  public void matmul(Tensor x, PackedWeights w, Tensor y) {
    if (!(w instanceof PackedTiles weights)) {
      throw new IllegalArgumentException(
          "packed weights of another backend ("
              + w.getClass().getSimpleName()
              + ") were passed; prepare them with this one");
    }
    weights.checkOpen();
    Matrix rows = Activations.rows("x", x);
    Matrix out = Activations.rows("y", y);
    if (rows.rows() < MANY_ROWS) {
      decode(rows, weights, out);
    } else {
      prefill(rows, weights, out);
    }
  }

  private void decode(Matrix x, PackedTiles w, Matrix y) {
    int tokens = x.rows();
    int workers = execution.pool().workers();
    MemorySegment[] inputs =
        execution.workspace().get(Workspace.Use.GATHERED, tokens, DecodeInput.bytes(w));
    MemorySegment[] sums =
        execution.workspace().get(Workspace.Use.TILE, workers, DecodeKernel.scratchBytes());
    execution.pool().forEach(tokens, (t, worker) -> DecodeInput.prepare(w, x, t, inputs[t]));
    execution
        .pool()
        .forEach(
            w.tiles(),
            (tile, worker) -> {
              int first = tile * PackedTiles.OUTPUTS;
              long bytes = 4L * Math.min(PackedTiles.OUTPUTS, w.rows() - first);
              for (int t = 0; t < tokens; t++) {
                DecodeKernel.tile(w, tile, inputs[t], sums[worker]);
                MemorySegment.copy(sums[worker], 0, y.segment(), y.at(t, first), bytes);
              }
            });
  }

  private void prefill(Matrix x, PackedTiles w, Matrix y) {
    Matrix slots = w.slotsAreInputs() ? x : gather(x, w);
    execution.gemm().multiply(1, slots, new DequantizedPanels(w), 0, y);
  }

  private Matrix gather(Matrix x, PackedTiles w) {
    int count = w.slots();
    MemorySegment buffer =
        execution.workspace().get(Workspace.Use.GATHERED, 1, 4L * x.rows() * count)[0];
    Matrix slots = Matrix.rowMajor(buffer, x.rows(), count);
    execution.forRanges(
        x.rows(),
        8,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            for (int i = 0; i < count; i++) {
              int input = w.input(i);
              float value = input < 0 ? 0 : x.segment().get(Lanes.FLOAT, x.at(t, input));
              buffer.set(Lanes.FLOAT, slots.at(t, i), value);
            }
          }
        });
    return slots;
  }
}
