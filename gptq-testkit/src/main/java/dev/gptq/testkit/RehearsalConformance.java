package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LaneGroup;
import dev.gptq.backend.Rehearsal;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.Refinement;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What {@link Rehearsal} promises: what it counts is what the backend takes, to the byte. */
public abstract class RehearsalConformance extends Conformance {
  private static final int ROWS = 24;
  private static final int COLUMNS = 64;
  private static final GptqOptions OPTIONS = GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), 16);

  /** For subclasses. */
  protected RehearsalConformance() {}

  @Test
  void solves() {
    requireForeseen(solve(OPTIONS));
  }

  @Test
  void refinedSolves() {
    requireForeseen(
        solve(
            OPTIONS
                .withOrder(ColumnOrder.GROUP_AWARE)
                .withRefinement(new Refinement(2, 1, 1, false))));
  }

  @Test
  void products() {
    Matrix a = inputs().normal(ROWS, COLUMNS);
    requireForeseen(backend -> {
      try (TensorScope scope = backend.newScope()) {
        Tensor left = upload(scope, a);
        Tensor square = scope.columnMajor(DType.F32, COLUMNS, COLUMNS);
        backend.linalg().gemm(1, left.transposed(), left, 0, square);
        Tensor sum = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
        backend.linalg().addTraceQuadratic(left, square, sum);
      }
    });
  }

  @Test
  void packedWeightsAreNotRehearsed() {
    try (Rehearsal rehearsal = backend().rehearsal()) {
      assertThatThrownBy(rehearsal::packed).isInstanceOf(UnsupportedOperationException.class);
    }
  }

  /** Which pieces of work meet is not known beforehand: the largest may. */
  @Test
  void lanesTakeNoMore() {
    Consumer<Backend> solve = solve(OPTIONS);
    Function<Backend, Integer> task =
        lane -> {
          solve.accept(lane);
          return 0;
        };
    Needed needed =
        needed(backend -> {
          try (LaneGroup lanes = new LaneGroup(backend, 2)) {
            lanes.run(IntStream.range(0, 4).mapToObj(i -> task).toList(), done -> {});
          }
        });
    Needed alone = needed(solve);
    assertThat(needed.foreseen()).isEqualTo(2 * alone.peak());
    assertThat(needed.peak()).isBetween(alone.peak(), needed.foreseen());
  }

  /** A whole layer: its Hessian, its factor, its codes, its error. */
  private Consumer<Backend> solve(GptqOptions options) {
    Matrix x = inputs().normal(2 * COLUMNS, COLUMNS);
    // In a rehearsal the first input seems to have never been active.
    for (int t = 0; t < x.rows(); t++) {
      x.values()[t * COLUMNS] = 0;
    }
    Matrix w = inputs().normal(ROWS, COLUMNS);
    return backend -> {
      try (TensorScope scope = backend.newScope()) {
        Hessian hessian = new Hessian(backend, scope, COLUMNS);
        hessian.add(upload(scope, x));
        HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
        Gptq.Result solved = new Gptq(backend, options).quantize(upload(scope, w), factor, scope);
        Tensor values = scope.columnMajor(DType.F32, ROWS, COLUMNS);
        solved.matrix().dequantize(backend, values);
        assertThat(List.of(solved.loss(), hessian.meanSquaredOutput(values)))
            .noneMatch(value -> value.isNaN());
      }
    };
  }

  private static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }

  private void requireForeseen(Consumer<Backend> work) {
    Needed needed = needed(work);
    assertThat(needed.foreseen()).isEqualTo(needed.peak());
  }

  /** What was foreseen and what was taken, in bytes. */
  private record Needed(long foreseen, long peak) {}

  private Needed needed(Consumer<Backend> work) {
    try (Backend fresh = openUnderTest()) {
      long foreseen;
      try (Rehearsal rehearsal = fresh.rehearsal()) {
        work.accept(rehearsal);
        foreseen = rehearsal.memory().peak();
        assertThat(rehearsal.memory().live()).as("live bytes of the rehearsal").isZero();
      }
      assertThat(fresh.memory().peak()).as("a rehearsal takes nothing").isZero();
      work.accept(fresh);
      fresh.synchronize();
      return new Needed(foreseen, fresh.memory().peak());
    }
  }
}
