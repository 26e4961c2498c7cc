package dev.gptq.simd;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.simd.kernels.RoundedKernels;
import dev.gptq.simd.kernels.RoundedWeights;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Products with packed weights: {@link Gemm} for many rows, and for few a kernel of its own, or
 * another one if activations are rounded to 8 bits, or {@link RoundedKernels} for any number of
 * rows.
 */
final class SimdPackedMatmul implements PackedMatmul {
  // From here on, dequantizing once for all rows costs less than reading codes for every row.
  private static final int MANY_ROWS = 8;

  // The same beside the faster kernel of rounded activations.
  private static final int MANY_ROUNDED_ROWS = 64;

  // Bytes of weights of a task: enough to pay for handing it out.
  private static final long GRAIN = 1 << 14;

  // Tasks of an operation for each worker, at most: enough for one that is late.
  private static final int TASKS = 4;

  // Bytes of weights of a task of many rows, which read all of the rounded rows each.
  private static final long MANY_ROWS_GRAIN = 1 << 17;

  // Rows of a task at least, where they are cut.
  private static final int ROWS_OF_TASK = 32;

  private final Execution execution;
  private final ActivationMode mode;
  private final Optional<RoundedKernels> kernels;

  SimdPackedMatmul(Execution execution, ActivationMode mode, Optional<RoundedKernels> kernels) {
    this.execution = execution;
    this.mode = mode;
    this.kernels = kernels;
  }

  @Override
  public PackedWeights prepare(PackedMatrix matrix, TensorScope scope) {
    boolean outside = kernels.isPresent() && mode.rounds(false, true) && mode.rounds(true, true);
    return PackedTiles.of(execution, matrix, outside, scope);
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
    boolean many = rows.rows() >= MANY_ROWS;
    boolean outside = kernels.isPresent() && weights.rounded().isPresent();
    if ((outside || weights.bits() == 4) && mode.rounds(many, outside)) {
      if (outside) {
        rounded(kernels.get(), weights.rounded().get(), rows, weights, out);
      } else if (rows.rows() < MANY_ROUNDED_ROWS) {
        decodeRounded(rows, weights, out);
      } else {
        prefill(roundedSlots(rows, weights), weights, out);
      }
    } else if (many) {
      prefill(weights.slotsAreInputs() ? rows : slots(rows, weights), weights, out);
    } else {
      decode(rows, weights, out);
    }
  }

  private void decode(Matrix x, PackedTiles w, Matrix y) {
    int tokens = x.rows();
    Workspace workspace = execution.workspace();
    float[][] inputs = workspace.floats(Workspace.Use.GATHERED, tokens, DecodeInput.length(w));
    float[][] sums =
        workspace.floats(Workspace.Use.TILE, execution.pool().workers(), DecodeKernel.SCRATCH);
    for (int t = 0; t < tokens; t++) {
      DecodeInput.prepare(w, x, t, inputs[t]);
    }
    forTiles(
        w,
        (tile, worker) -> {
          for (int t = 0; t < tokens; t++) {
            DecodeKernel.tile(w, tile, inputs[t], sums[worker]);
            store(sums[worker], w, tile, y, t);
          }
        });
  }

  /** Runs the task for every tile. */
  private void forTiles(PackedTiles w, WorkerPool.Task task) {
    int perTask = tilesOf(GRAIN, w);
    execution
        .pool()
        .forEach(
            (w.tiles() + perTask - 1) / perTask,
            (i, worker) -> {
              int end = Math.min(w.tiles(), (i + 1) * perTask);
              for (int tile = i * perTask; tile < end; tile++) {
                task.run(tile, worker);
              }
            });
  }

  /** Tiles of about so many bytes. */
  private static int tilesOf(long bytes, PackedTiles w) {
    return Math.clamp(bytes / (w.byteSize() / w.tiles()), 1, w.tiles());
  }

  /** By kernels outside of Java. */
  private void rounded(
      RoundedKernels kernels, RoundedWeights weights, Matrix x, PackedTiles w, Matrix y) {
    int tokens = x.rows();
    Matrix slots = w.slotsAreInputs() ? x : slots(x, w);
    MemorySegment rows =
        execution.workspace().get(Workspace.Use.ROUNDED, 1, kernels.bytes(weights, tokens))[0];
    execution.forRanges(
        tokens,
        8,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            kernels.round(weights, from(slots, t), t, tokens, rows);
          }
        });
    // An output is the same in whichever task it is: alone, a worker takes all of them in one.
    int workers = execution.pool().workers();
    int tasks = workers == 1 ? 1 : TASKS * workers;
    int least = tilesOf(tokens < MANY_ROWS ? GRAIN : MANY_ROWS_GRAIN, w);
    int tiles = Math.max(least, (w.tiles() + tasks - 1) / tasks);
    if (workers == 1 || tokens < 2 * ROWS_OF_TASK) {
      MemorySegment out = from(y, 0);
      execution.forRanges(
          w.tiles(),
          tiles,
          (from, to) -> kernels.multiply(weights, from, to, rows, tokens, out, y.rowStride()));
    } else {
      multiplyParts(kernels, weights, rows, tokens, tiles, 2 * tasks, y);
    }
  }

  /** Few tiles do not go evenly into the workers, so many rows are cut as well. */
  private void multiplyParts(
      RoundedKernels kernels,
      RoundedWeights weights,
      MemorySegment rows,
      int tokens,
      int tiles,
      int tasks,
      Matrix y) {
    int all = (weights.outputs() + weights.width() - 1) / weights.width();
    int across = (all + tiles - 1) / tiles;
    int down = Math.clamp(tasks / across, 1, tokens / ROWS_OF_TASK);
    int unit = RoundedKernels.ROWS;
    int count = ((tokens + down - 1) / down + unit - 1) / unit * unit;
    execution
        .pool()
        .forEach(
            across * ((tokens + count - 1) / count),
            (i, worker) -> {
              int tile = i % across * tiles;
              int row = i / across * count;
              kernels.multiply(
                  weights,
                  tile,
                  Math.min(all, tile + tiles),
                  rows.asSlice(kernels.bytes(weights, row)),
                  Math.min(count, tokens - row),
                  from(y, row),
                  y.rowStride());
            });
  }

  /** Memory from the start of a row on. */
  private static MemorySegment from(Matrix m, int row) {
    return m.segment().asSlice(m.at(row, 0));
  }

  private void decodeRounded(Matrix x, PackedTiles w, Matrix y) {
    int tokens = x.rows();
    Workspace workspace = execution.workspace();
    int[][] factors = workspace.integers(Workspace.Use.GATHERED, tokens, RoundedInput.factors(w));
    float[][] scales = workspace.floats(Workspace.Use.GATHERED, tokens, RoundedInput.scales(w));
    int scratch = Math.max(PackedTiles.OUTPUTS, RoundedInput.INPUTS);
    float[][] sums = workspace.floats(Workspace.Use.TILE, execution.pool().workers(), scratch);
    execution
        .pool()
        .forEach(
            tokens,
            (t, worker) -> RoundedInput.prepare(w, x, t, factors[t], scales[t], sums[worker]));
    forTiles(
        w,
        (tile, worker) -> {
          for (int t = 0; t < tokens; t++) {
            RoundedKernel.tile(w, tile, factors[t], scales[t], sums[worker]);
            store(sums[worker], w, tile, y, t);
          }
        });
  }

  private static void store(float[] sums, PackedTiles w, int tile, Matrix y, int t) {
    int first = tile * PackedTiles.OUTPUTS;
    int count = Math.min(PackedTiles.OUTPUTS, w.rows() - first);
    MemorySegment.copy(sums, 0, y.segment(), Lanes.FLOAT, y.at(t, first), count);
  }

  private void prefill(Matrix slots, PackedTiles w, Matrix y) {
    execution.gemm().multiply(1, slots, new DequantizedPanels(w), 0, y);
  }

  /** The rows of x in the order of the slots. */
  private Matrix slots(Matrix x, PackedTiles w) {
    Matrix slots = slotMatrix(x.rows(), w);
    MemorySegment buffer = slots.segment();
    execution.forRanges(
        x.rows(),
        8,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            long row = x.at(t, 0);
            for (int i = 0; i < slots.columns(); i++) {
              buffer.set(Lanes.FLOAT, slots.at(t, i), w.activation(x.segment(), row, i));
            }
          }
        });
    return slots;
  }

  /** The same of activations rounded to 8 bits, as numbers again. */
  private Matrix roundedSlots(Matrix x, PackedTiles w) {
    Matrix slots = slotMatrix(x.rows(), w);
    float[][] chunk =
        execution
            .workspace()
            .floats(Workspace.Use.TILE, execution.pool().workers(), RoundedInput.INPUTS);
    execution
        .pool()
        .forEach(x.rows(), (t, worker) -> RoundedInput.expand(w, x, t, slots, chunk[worker]));
    return slots;
  }

  private Matrix slotMatrix(int rows, PackedTiles w) {
    long bytes = 4L * rows * w.slots();
    MemorySegment buffer = execution.workspace().get(Workspace.Use.GATHERED, 1, bytes)[0];
    return Matrix.rowMajor(buffer, rows, w.slots());
  }
}
