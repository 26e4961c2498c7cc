package dev.gptq.quantizer.tune;

import com.google.common.base.Suppliers;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.grid.Grid;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A quantized matrix with what tuning moves: an offset of each code and a factor of each scale; and
 * with a momentum β the mean M of gradients that it goes by, M ← β·M + (1 − β)·G. Of the best state
 * so far there are codes and scales once more.
 */
final class TunedMatrix {
  private final Backend backend;

  /** The weights that the model runs with. */
  private final Tensor dense;

  private final Tensor codes;
  private final Grid grid;
  private final Tensor offsets;
  private final Tensor factors;
  private final float momentum;
  private final Optional<Tensor> mean;
  private final QuantizedMatrix best;

  private TunedMatrix(
      Backend backend,
      Tensor dense,
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      float momentum,
      Optional<Tensor> mean,
      QuantizedMatrix best) {
    this.backend = backend;
    this.dense = dense;
    this.codes = codes;
    this.grid = grid;
    this.offsets = offsets;
    this.factors = factors;
    this.momentum = momentum;
    this.mean = mean;
    this.best = best;
  }

  /**
   * Begins with what was kept of a module.
   *
   * @param original the weights before they were quantized, of any real type
   * @param dense of the same shape and the activation type, for the weights that the codes stand
   *     for
   * @param momentum 0 for none
   */
  static TunedMatrix of(
      Backend backend,
      KeptGrid kept,
      Tensor original,
      Tensor dense,
      double momentum,
      TensorScope scope) {
    int rows = dense.rows();
    int columns = dense.columns();
    int groups = kept.groups();
    Supplier<PackedMatrix> packed = Suppliers.memoize(kept.packed()::get);
    Tensor codes =
        scope.upload(() -> codes(packed.get()), DType.U8, rows, columns, Layout.COLUMN_MAJOR);
    Tensor scale =
        scope.upload(() -> packed.get().scales(), DType.F32, rows, groups, Layout.COLUMN_MAJOR);
    Tensor zero =
        kept.spec().scheme().hasZeroPoint()
            ? scope.upload(
                () -> packed.get().zeros().orElseThrow(),
                DType.F32,
                rows,
                groups,
                Layout.COLUMN_MAJOR)
            : scope.filled(kept.spec().scheme().fixedZero(kept.spec().bits()), rows, groups);
    int[] groupOf = new int[columns];
    boolean nothingKept = backend instanceof Rehearsal;
    Arrays.setAll(
        groupOf, c -> nothingKept ? (int) ((long) c * groups / columns) : packed.get().group(c));
    Grid grid = new Grid(kept.spec(), scale, zero, scope.upload(groupOf));
    TunedMatrix tuned =
        new TunedMatrix(
            backend,
            dense,
            codes,
            grid,
            scope.columnMajor(DType.F32, rows, columns),
            scope.columnMajor(DType.F32, rows, groups),
            (float) momentum,
            momentum == 0
                ? Optional.empty()
                : Optional.of(scope.columnMajor(DType.F32, rows, columns)),
            new QuantizedMatrix(
                scope.columnMajor(DType.U8, rows, columns),
                new Grid(
                    kept.spec(),
                    scope.columnMajor(DType.F32, rows, groups),
                    zero,
                    grid.groupOf())));
    tuned.begin(original);
    return tuned;
  }

  private static MemorySegment codes(PackedMatrix packed) {
    int rows = packed.rows();
    byte[] codes = new byte[Math.multiplyExact(rows, packed.columns())];
    IntStream.range(0, packed.columns())
        .parallel()
        .forEach(c -> {
          for (int r = 0; r < rows; r++) {
            codes[c * rows + r] = (byte) packed.code(r, c);
          }
        });
    return MemorySegment.ofArray(codes);
  }

  /** Takes the first state, which is the best for now. */
  void begin(Tensor original) {
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.columnMajor(DType.F32, codes.rows(), codes.columns());
      backend.linalg().convert(original, w);
      backend.tuning().beginOffsets(w, codes, grid, offsets);
      backend.linalg().convert(local.filled(1, codes.rows(), grid.groups()), factors);
    }
    forget();
    show();
    keep();
  }

  /** Goes by the gradients to come only. */
  void forget() {
    mean.ifPresent(m -> {
      try (TensorScope local = backend.newScope()) {
        backend.linalg().convert(local.filled(0, codes.rows(), codes.columns()), m);
      }
    });
  }

  /** Number of weights. */
  long weights() {
    return codes.elements();
  }

  /**
   * One step against the gradient {@code outputGradientᵀ·input}, or the mean with those before.
   *
   * @param step what an offset moves by
   */
  void descend(Tensor input, Tensor outputGradient, float step) {
    try (TensorScope local = backend.newScope()) {
      Tensor gradient =
          mean.orElseGet(() -> local.columnMajor(DType.F32, codes.rows(), codes.columns()));
      backend.linalg().gemm(1 - momentum, outputGradient.transposed(), input, momentum, gradient);
      float scaleStep = (float) (step * Tuning.SCALES);
      backend.tuning().descend(gradient, codes, grid, step, scaleStep, offsets, factors);
    }
  }

  /** Lets the model run with the present state. */
  void show() {
    try (TensorScope local = backend.newScope()) {
      QuantizedMatrix now =
          new QuantizedMatrix(
              local.columnMajor(DType.U8, codes.rows(), codes.columns()),
              new Grid(
                  grid.spec(),
                  local.columnMajor(DType.F32, codes.rows(), grid.groups()),
                  grid.zero(),
                  grid.groupOf()));
      write(now);
      Tensor w = local.rowMajor(DType.F32, codes.rows(), codes.columns());
      now.dequantize(backend, w);
      backend.linalg().convert(w, dense);
    }
  }

  /** Makes the present state the best. */
  void keep() {
    write(best);
  }

  private void write(QuantizedMatrix to) {
    backend.tuning().tuned(codes, grid, offsets, factors, to.codes(), to.grid().scale());
  }

  /** The best state. */
  PackedMatrix best() {
    return best.pack();
  }

  /** The present state and the best. */
  Stream<KeptRows> states() {
    return Stream.concat(
            Stream.of(offsets, factors, best.codes(), best.grid().scale()), mean.stream())
        .map(tensor -> new KeptTensor(backend, tensor));
  }
}
