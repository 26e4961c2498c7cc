package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Maps;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The named activations of one batch, each in a scope of its own so that it can go by itself. Views
 * of one activation keep it alive; an activation without rows is empty and has no tensor.
 */
public final class Registers implements AutoCloseable {
  private record Held(Memory memory, Tensor tensor) {}

  /** A scope that closes with the last of its users. */
  private static final class Memory {
    private final TensorScope scope;
    private int users;

    Memory(TensorScope scope, int users) {
      this.scope = scope;
      this.users = users;
    }

    void release() {
      users--;
      if (users == 0) {
        scope.close();
      }
    }
  }

  private final Backend backend;
  private final TensorScope parent;
  private final Map<String, Held> held = new HashMap<>();
  private final Map<String, RoutedRows> routes = new HashMap<>();
  private final Set<String> empty = new HashSet<>();

  /** No activations yet; they will close no later than {@code parent}. */
  public Registers(Backend backend, TensorScope parent) {
    this.backend = backend;
    this.parent = parent;
  }

  /**
   * Defines an activation of the backend's activation type. An earlier one of that name is there
   * until {@code fill} has computed the new one's elements.
   */
  public void define(String name, int rows, int columns, Consumer<Tensor> fill) {
    if (rows == 0) {
      defineEmpty(name);
      return;
    }
    TensorScope scope = parent.child();
    Tensor tensor = scope.rowMajor(backend.activationType(), rows, columns);
    fill.accept(tensor);
    put(name, new Held(new Memory(scope, 1), tensor));
  }

  /** Defines an activation as the tensor that is made in a scope which goes with it. */
  public void define(String name, Function<TensorScope, Tensor> made) {
    TensorScope scope = parent.child();
    put(name, new Held(new Memory(scope, 1), made.apply(scope)));
  }

  /** Defines activations that are computed as one, as its columns. */
  void defineParts(
      ImmutableList<JoinedLinears.Part> parts, int rows, int columns, Consumer<Tensor> fill) {
    TensorScope scope = parent.child();
    Tensor whole = scope.rowMajor(backend.activationType(), rows, columns);
    fill.accept(whole);
    Memory memory = new Memory(scope, parts.size());
    for (JoinedLinears.Part part : parts) {
      put(part.out(), new Held(memory, whole.columns(part.from(), part.to())));
    }
  }

  /** Defines an activation as some columns of another. */
  void defineView(String name, String of, int from, int to) {
    Held whole = find(of);
    whole.memory().users++;
    put(name, new Held(whole.memory(), whole.tensor().columns(from, to)));
  }

  /** Defines an activation without rows. */
  void defineEmpty(String name) {
    release(name);
    empty.add(name);
  }

  /** Defines which tokens go to which expert. */
  void define(String name, Routes chosen) {
    RoutedRows made = new RoutedRows(chosen, parent.child());
    releaseRoutes(name);
    routes.put(name, made);
  }

  private void releaseRoutes(String name) {
    RoutedRows old = routes.remove(name);
    if (old != null) {
      old.close();
    }
  }

  private void put(String name, Held register) {
    release(name);
    held.put(name, register);
  }

  /** Whether there is an activation of that name that has rows. */
  boolean isDefined(String name) {
    return held.containsKey(name);
  }

  /** Whether the activation has no rows. */
  public boolean isEmpty(String name) {
    return empty.contains(name);
  }

  /** Whether a step reads an activation that has no rows. */
  boolean isAnyEmpty(Step step) {
    // Asked for every step of every token, and nearly always of no activation at all.
    return !empty.isEmpty() && !Collections.disjoint(empty, step.reads());
  }

  /** The activation of that name. */
  public Tensor get(String name) {
    return find(name).tensor();
  }

  /** All activations that have rows. */
  public ImmutableMap<String, Tensor> tensors() {
    return ImmutableMap.copyOf(Maps.transformValues(held, Held::tensor));
  }

  private Held find(String name) {
    Held register = held.get(name);
    if (register == null) {
      throw new IllegalStateException("no activation '" + name + "' is defined");
    }
    return register;
  }

  /** The routes of that name. */
  Routes routes(String name) {
    return routedRows(name).routes();
  }

  /** The same in the backend's memory, until they are released. */
  RoutedRows routedRows(String name) {
    RoutedRows found = routes.get(name);
    if (found == null) {
      throw new IllegalStateException("no routes '" + name + "' are defined");
    }
    return found;
  }

  /** Rows that a step gathers. */
  public long rows(Step.Gather gather) {
    return routes(gather.routes()).experts().get(gather.expert()).tokens().length();
  }

  /** All activations and routes once more, with elements of their own. */
  public Registers copy(TensorScope scope) {
    Registers copy = new Registers(backend, scope);
    held.forEach((name, register) -> {
      Tensor x = register.tensor();
      copy.define(name, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
    });
    routes.forEach((name, rows) -> copy.define(name, rows.routes()));
    copy.empty.addAll(empty);
    return copy;
  }

  /** Frees an activation or routes. */
  public void release(String name) {
    empty.remove(name);
    releaseRoutes(name);
    Held register = held.remove(name);
    if (register != null) {
      register.memory().release();
    }
  }

  @Override
  public void close() {
    held.values().forEach(register -> register.memory().release());
    held.clear();
    routes.values().forEach(RoutedRows::close);
    routes.clear();
  }
}
