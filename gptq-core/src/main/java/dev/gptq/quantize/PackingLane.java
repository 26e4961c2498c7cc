package dev.gptq.quantize;

import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.SideLane;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Brings quantized matrices to the host and packs them while the backend that made them goes on: a
 * device would have nothing to do while their codes are copied.
 */
public final class PackingLane implements AutoCloseable {
  private final SideLane lane;

  /** Begins to open a lane of a backend; what goes wrong is thrown by the first work. */
  public PackingLane(String name, Backend backend) {
    this.lane = new SideLane(name, backend);
  }

  /** What is brought of a matrix, in the lane's memory but for the groups of its columns. */
  private record Held(
      GridSpec spec, ImmutableIntArray groupOf, Tensor codes, Tensor scale, Optional<Tensor> zero) {
    Supplier<PackedMatrix> bring() {
      return QuantizedMatrix.bring(spec, groupOf.toArray(), codes, scale, zero);
    }
  }

  /** Matrices that were copied together. */
  private record Copies(TensorScope scope, List<Held> matrices) {}

  /**
   * Begins to bring and pack matrices. They were waited for, and may be given back when this
   * returns: by then they have been copied in the device's memory, where the copies stay until they
   * have been brought.
   */
  public List<CompletableFuture<PackedMatrix>> start(List<QuantizedMatrix> matrices) {
    List<ImmutableIntArray> groups =
        matrices.stream()
            .map(m -> ImmutableIntArray.copyOf(HostCopies.ints(m.grid().groupOf())))
            .toList();
    Copies copies =
        lane.run(backend ->
            Holdings.allOrNothing(taken -> {
              TensorScope scope = taken.add(backend.newScope(), TensorScope::close);
              return new Copies(
                  scope,
                  IntStream.range(0, matrices.size())
                      .mapToObj(i -> copy(backend, matrices.get(i), groups.get(i), scope))
                      .toList());
            }));
    CompletableFuture<List<Supplier<PackedMatrix>>> brought =
        lane.start(backend -> {
          try (Holdings after = new Holdings()) {
            after.add(copies.scope()::close);
            return copies.matrices().stream().map(Held::bring).toList();
          }
        });
    return IntStream.range(0, matrices.size())
        .mapToObj(i -> brought.thenApplyAsync(all -> all.get(i).get()))
        .toList();
  }

  private static Held copy(
      Backend lane, QuantizedMatrix of, ImmutableIntArray groupOf, TensorScope scope) {
    Grid grid = of.grid();
    return new Held(
        grid.spec(),
        groupOf,
        copy(lane, of.codes(), scope),
        copy(lane, grid.scale(), scope),
        grid.spec().scheme().hasZeroPoint()
            ? Optional.of(copy(lane, grid.zero(), scope))
            : Optional.empty());
  }

  private static Tensor copy(Backend lane, Tensor of, TensorScope scope) {
    Tensor copy = scope.columnMajor(of.type(), of.rows(), of.columns());
    try (TensorScope local = lane.newScope()) {
      int[] all = IntStream.range(0, of.columns()).toArray();
      lane.linalg().gatherColumns(of, local.upload(all), copy);
    }
    return copy;
  }

  /** Closes the lane, behind what began before. */
  @Override
  public void close() {
    lane.close();
  }
}
