package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Rows for streams of which the last is taken first, in a room that pass after pass uses again. */
final class BorderStack {
  private final Backend backend;
  private final StateRoom room;
  private final List<RoomRows> rows = new ArrayList<>();
  private int depth;

  BorderStack(Backend backend, StateRoom room) {
    this.backend = backend;
    this.room = room;
  }

  boolean isEmpty() {
    return depth == 0;
  }

  /** Rows for a stream, as the last. */
  RoomRows push(Tensor stream) {
    Optional<RoomRows> old =
        depth < rows.size() ? Optional.of(rows.remove(depth)) : Optional.empty();
    RoomRows own = RoomRows.like(stream, old, backend, room);
    rows.add(depth, own);
    depth++;
    return own;
  }

  /** The last. */
  RoomRows last() {
    return rows.get(depth - 1);
  }

  /** Forgets the last. */
  void pop() {
    depth--;
  }
}
