package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.Map;

/** The named activations of one batch, each in a scope of its own so that it can go by itself. */
public final class Registers implements AutoCloseable {
  private record Held(TensorScope scope, Tensor tensor) {}

  private final Backend backend;
  private final TensorScope parent;
  private final Map<String, Held> held = new HashMap<>();

  /** No activations yet; they will close no later than {@code parent}. */
  public Registers(Backend backend, TensorScope parent) {
    this.backend = backend;
    this.parent = parent;
  }

  /** A new activation of the backend's activation type, contents undefined. */
  public Tensor define(String name, int rows, int columns) {
    TensorScope scope = parent.child();
    Tensor tensor = scope.rowMajor(backend.activationType(), rows, columns);
    Held old = held.put(name, new Held(scope, tensor));
    if (old != null) {
      old.scope().close();
    }
    return tensor;
  }

  /** The activation of that name. */
  public Tensor get(String name) {
    Held register = held.get(name);
    if (register == null) {
      throw new IllegalStateException("no activation '" + name + "' is defined");
    }
    return register.tensor();
  }

  /** Frees an activation. */
  public void release(String name) {
    Held register = held.remove(name);
    if (register != null) {
      register.scope().close();
    }
  }

  @Override
  public void close() {
    held.values().forEach(register -> register.scope().close());
    held.clear();
  }
}
