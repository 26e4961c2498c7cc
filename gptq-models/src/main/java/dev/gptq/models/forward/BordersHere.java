package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/** Streams that stay in the memory of the backend, each until it is taken. */
final class BordersHere implements Borders {
  private record Border(TensorScope scope, Tensor stream) {}

  private final Backend backend;
  private final TensorScope parent;
  private final Deque<Border> borders = new ArrayDeque<>();

  /** None yet; they are gone with {@code parent} at the latest. */
  BordersHere(Backend backend, TensorScope parent) {
    this.backend = backend;
    this.parent = parent;
  }

  @Override
  public void put(Tensor stream) {
    TensorScope scope = parent.child();
    Tensor copy = scope.rowMajor(stream.type(), stream.rows(), stream.columns());
    backend.linalg().convert(stream, copy);
    borders.push(new Border(scope, copy));
  }

  @Override
  public void take(Consumer<Tensor> reader) {
    Border last = borders.pop();
    try (TensorScope _ = last.scope()) {
      reader.accept(last.stream());
    }
  }
}
