package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.forward.Borders;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.function.Consumer;

/** Borders in a {@link StateRoom} that come and go between two operations. */
final class BordersElsewhere implements Borders {
  private final Backend backend;
  private final BorderStack stack;

  BordersElsewhere(Backend backend, StateRoom room) {
    this.backend = backend;
    this.stack = new BorderStack(backend, room);
  }

  @Override
  public void put(Tensor stream) {
    stack.push(stream).put(stream);
  }

  @Override
  public void take(Consumer<Tensor> reader) {
    try (TensorScope local = backend.newScope()) {
      reader.accept(stack.last().bring(local));
    }
    stack.pop();
  }
}
