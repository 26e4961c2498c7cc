package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.SideLane;
import dev.gptq.models.forward.Borders;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Borders in a {@link StateRoom} that come and go beside the work of a device: a stream leaves it
 * while the next block runs, and the one before a block comes while the block behind it is
 * differentiated. In the device's memory is one of them, the last that was put and not taken.
 */
final class BordersBeside implements Borders, AutoCloseable {
  private final Backend backend;
  private final BorderStack stack;
  private final SideLane lane;

  /** The last border, in the memory of the lane. */
  private record Here(TensorScope scope, Tensor stream) {}

  /** Done once it has come, or has left. */
  private Optional<Future<Here>> last = Optional.empty();

  BordersBeside(Backend backend, StateRoom room) {
    this.backend = backend;
    this.stack = new BorderStack(backend, room);
    this.lane = new SideLane("gptq-borders", backend);
  }

  @Override
  public void put(Tensor stream) {
    Optional<Here> before = last.map(SideLane::result);
    RoomRows rows = stack.push(stream);
    backend.synchronize();
    Here copy =
        lane.run(side -> {
          before.ifPresent(old -> old.scope().close());
          return hold(side, scope -> copy(side, stream, scope));
        });
    last =
        Optional.of(
            lane.start(side -> {
              rows.put(copy.stream());
              return copy;
            }));
  }

  private static Tensor copy(Backend lane, Tensor stream, TensorScope scope) {
    Tensor copy = scope.rowMajor(stream.type(), stream.rows(), stream.columns());
    lane.linalg().convert(stream, copy);
    return copy;
  }

  private static Here hold(Backend lane, Function<TensorScope, Tensor> made) {
    return Holdings.allOrNothing(taken -> {
      TensorScope scope = taken.add(lane.newScope(), TensorScope::close);
      return new Here(scope, made.apply(scope));
    });
  }

  @Override
  public void take(Consumer<Tensor> reader) {
    Here here = SideLane.result(last.orElseThrow());
    reader.accept(here.stream());
    stack.pop();
    // What was queued reads the stream that is given back.
    backend.synchronize();
    if (stack.isEmpty()) {
      last = Optional.empty();
      lane.run(side -> {
        here.scope().close();
        return side;
      });
      return;
    }
    RoomRows next = stack.last();
    last =
        Optional.of(
            lane.start(side -> {
              here.scope().close();
              return hold(side, next::bring);
            }));
  }

  /** Closes the lane, and with it what is left of a pass that has failed. */
  @Override
  public void close() {
    lane.close();
  }
}
