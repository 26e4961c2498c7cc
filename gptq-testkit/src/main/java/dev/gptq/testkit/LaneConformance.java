package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LaneGroup;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.PackingLane;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.Refinement;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What lanes of a backend promise: the same bits, shared memory, and one clear failure. */
public abstract class LaneConformance extends Conformance {
  private static final int LANES = 3;
  private static final int TASKS = 8;

  /** For subclasses. */
  protected LaneConformance() {}

  private static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }

  /** A matrix that the backend owns, its Hessian, and room for the result. */
  private record Problem(Tensor weight, Hessian hessian, Tensor result) {
    /** All bits that a solve decides. */
    List<Object> solve(Backend lane) {
      GptqOptions options =
          GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), 16)
              .withOrder(ColumnOrder.GROUP_AWARE)
              .withRefinement(new Refinement(4, 1, 2, false));
      try (TensorScope scope = lane.newScope()) {
        Hessian own = hessian.on(lane);
        HessianFactor factor = HessianFactor.of(lane, own, options, scope);
        Gptq.Result solved = new Gptq(lane, options).quantize(weight, factor, scope);
        solved.matrix().dequantize(lane, result);
        return List.of(
            solved.loss(),
            own.meanSquaredOutput(result),
            HostCopies.bytes(solved.matrix().codes()));
      }
    }
  }

  private Problem problem(int index, TensorScope scope) {
    int rows = 5 + 17 * index;
    int columns = 16 * (1 + index);
    Hessian hessian = new Hessian(backend(), scope, columns);
    hessian.add(upload(scope, inputs().normal(3 * columns, columns)));
    assertThat(hessian.matrix().rows()).isEqualTo(columns);
    return new Problem(
        upload(scope, inputs().normal(rows, columns)),
        hessian,
        scope.columnMajor(DType.F32, rows, columns));
  }

  @Test
  void solvesOnLanesHaveTheSameBits() {
    try (TensorScope scope = backend().newScope();
        LaneGroup lanes = new LaneGroup(backend(), LANES)) {
      List<Problem> problems = IntStream.range(0, TASKS).mapToObj(i -> problem(i, scope)).toList();
      List<List<Object>> alone = new ArrayList<>();
      List<float[]> results = new ArrayList<>();
      for (Problem problem : problems) {
        alone.add(problem.solve(backend()));
        results.add(HostCopies.floats(problem.result()));
        backend().linalg().axpy(-1, problem.weight(), problem.result());
      }
      List<List<Object>> together = new ArrayList<>();
      lanes.run(
          problems.stream().<Function<Backend, List<Object>>>map(p -> p::solve).toList(),
          together::add);
      for (int i = 0; i < TASKS; i++) {
        assertThat(together.get(i).subList(0, 2)).isEqualTo(alone.get(i).subList(0, 2));
        assertThat(together.get(i).get(2)).isEqualTo(alone.get(i).get(2));
        assertThat(HostCopies.floats(problems.get(i).result())).isEqualTo(results.get(i));
      }
    }
  }

  @Test
  void lanesHaveThreadsOfTheirOwnAndRunSideBySide() {
    Set<String> threads = ConcurrentHashMap.newKeySet();
    CountDownLatch all = new CountDownLatch(LANES);
    Function<Backend, Integer> meeting =
        lane -> {
          threads.add(Thread.currentThread().getName());
          all.countDown();
          try {
            all.await();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
          assertThat(lane.info().name()).isEqualTo(backend().info().name());
          assertThatThrownBy(() -> backend().linalg()).hasMessageContaining("belongs to thread");
          return lane.linalg() == null ? 0 : 1;
        };
    List<Integer> results = new ArrayList<>();
    try (LaneGroup lanes = new LaneGroup(backend(), LANES)) {
      lanes.run(List.of(meeting, meeting, meeting), results::add);
    }
    assertThat(threads).hasSize(LANES).doesNotContain(Thread.currentThread().getName());
    assertThat(results).containsExactly(1, 1, 1);
  }

  /** A task alone has the whole device. */
  @Test
  void singleTasksRunOnTheBackendItself() {
    Function<Backend, Backend> itself = lane -> lane;
    List<Backend> used = new ArrayList<>();
    try (LaneGroup lanes = new LaneGroup(backend(), LANES)) {
      lanes.run(List.of(itself), used::add);
      lanes.run(List.<Function<Backend, Backend>>of(), used::add);
    }
    try (LaneGroup one = new LaneGroup(backend(), 1)) {
      one.run(List.of(itself, itself), used::add);
    }
    assertThat(used).hasSize(3).containsOnly(backend());
  }

  /** Their memory is given back, and taken for other things, while codes are still brought. */
  @Test
  void packingLanesBringMatricesThatAreGivenBack() {
    long before = backend().memory().live();
    try (PackingLane lane = new PackingLane("packing", backend())) {
      for (Scheme scheme : List.of(Scheme.SYMMETRIC, Scheme.ASYMMETRIC)) {
        List<PackedMatrix> here;
        List<CompletableFuture<PackedMatrix>> aside;
        try (TensorScope scope = backend().newScope()) {
          QuantizedMatrix matrix =
              new RoundToNearest(backend(), GridSpec.of(scheme, 4), 16)
                  .quantize(upload(scope, inputs().normal(37, 48)), scope);
          List<QuantizedMatrix> parts = List.of(matrix.rows(0, 5), matrix.rows(5, 37));
          here = parts.stream().map(QuantizedMatrix::pack).toList();
          aside = lane.start(parts);
        }
        try (TensorScope scope = backend().newScope()) {
          scope.filled(-1, 37, 48);
          scope.filled(-1, 37, 48);
          backend().synchronize();
          for (int i = 0; i < here.size(); i++) {
            PackedMatrix packed = aside.get(i).join();
            assertThat(packed.words().mismatch(here.get(i).words())).isEqualTo(-1);
            assertThat(packed.scales().mismatch(here.get(i).scales())).isEqualTo(-1);
            assertThat(packed.zeros().isPresent()).isEqualTo(scheme.hasZeroPoint());
            MemorySegment none = MemorySegment.NULL;
            MemorySegment expected = here.get(i).zeros().orElse(none);
            assertThat(packed.zeros().orElse(none).mismatch(expected)).isEqualTo(-1);
          }
        }
      }
    }
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  @Test
  void memoryOfLanesIsCountedTogether() {
    long before = backend().memory().live();
    Function<Backend, Long> task =
        lane -> {
          try (TensorScope scope = lane.newScope()) {
            scope.columnMajor(DType.F32, 64, 64);
            return backend().memory().live();
          }
        };
    List<Long> live = new ArrayList<>();
    try (LaneGroup lanes = new LaneGroup(backend(), LANES)) {
      lanes.run(List.of(task, task, task, task), live::add);
    }
    assertThat(live).hasSize(4).allMatch(bytes -> bytes >= before + 4 * 64 * 64);
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  @Test
  void failureOfATaskStopsTheOthersAndIsThrownOnce() {
    long before = backend().memory().live();
    AtomicInteger begun = new AtomicInteger();
    Function<Backend, Integer> task =
        lane -> {
          int number = begun.incrementAndGet();
          try (TensorScope scope = lane.newScope()) {
            Tensor tensor = scope.zeros(DType.F32, 8, 8, Layout.ROW_MAJOR);
            if (number == LANES + 1) {
              throw new IllegalStateException("task failed");
            }
            if (number > LANES + 1) {
              // The failing one may lose its processor before anybody knows of it.
              LockSupport.parkNanos(5_000_000);
            }
            return HostCopies.floats(tensor).length;
          }
        };
    List<Integer> results = new ArrayList<>();
    try (LaneGroup lanes = new LaneGroup(backend(), LANES)) {
      List<Function<Backend, Integer>> tasks =
          IntStream.range(0, 1000).mapToObj(i -> task).toList();
      assertThatThrownBy(() -> lanes.run(tasks, results::add))
          .isExactlyInstanceOf(IllegalStateException.class)
          .hasMessage("task failed")
          .hasNoSuppressedExceptions();
      assertThat(begun.get()).isLessThan(1000);
      assertThat(results).hasSizeLessThan(begun.get()).allMatch(length -> length == 64);
      assertThat(backend().memory().live()).isEqualTo(before);
      // The lanes can still be used.
      lanes.run(List.<Function<Backend, Integer>>of(lane -> 2, lane -> 3), results::add);
      assertThat(results).endsWith(2, 3);
    }
  }

  /** What was taken from the results, in order, is all that a failing receiver has seen. */
  @Test
  void failureOfTheReceiverStopsTheTasks() {
    AtomicInteger begun = new AtomicInteger();
    Function<Backend, Integer> task = lane -> begun.incrementAndGet();
    try (LaneGroup lanes = new LaneGroup(backend(), 2)) {
      List<Function<Backend, Integer>> tasks =
          IntStream.range(0, 100_000).mapToObj(i -> task).toList();
      assertThatThrownBy(() ->
              lanes.run(
                  tasks,
                  result -> {
                    throw new IllegalStateException("receiver failed");
                  }))
          .hasMessage("receiver failed");
      assertThat(begun.get()).isLessThan(100_000);
    }
  }
}
