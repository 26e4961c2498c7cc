package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/**
 * The keys, values and states of one block for all positions so far of one sequence, or of several
 * that go on side by side.
 */
final class KeyValueCache {
  private final Backend backend;
  private final TensorScope scope;
  private final int capacity;
  private final Map<String, Tensor> stored = new HashMap<>();

  KeyValueCache(Backend backend, TensorScope scope, int capacity) {
    this.backend = backend;
    this.scope = scope;
    this.capacity = capacity;
  }

  /** Positions that the sequence may have. */
  int capacity() {
    return capacity;
  }

  /** A state that is carried from token to token, F32, zeros at first. */
  Tensor state(String name, int rows, int columns) {
    return stored.computeIfAbsent(name, key -> zeros(scope, rows, columns));
  }

  /** An F32 matrix of zeros. */
  static Tensor zeros(TensorScope scope, int rows, int columns) {
    float[] values = new float[Math.multiplyExact(rows, columns)];
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  /**
   * Stores the rows of the positions from {@code first} on, in a type, and returns all rows so far.
   */
  Tensor append(String name, Tensor rows, DType type, int first) {
    Tensor all =
        stored.computeIfAbsent(name, key -> scope.rowMajor(type, capacity, rows.columns()));
    backend.linalg().convert(rows, all.rows(first, first + rows.rows()));
    return all.rows(0, first + rows.rows());
  }

  /**
   * Stores one row of each of several sequences, all of the same position, and returns those of all
   * positions so far: positions × (sequences·columns).
   */
  Tensor appendBeside(String name, Tensor rows, int position) {
    int width = Math.multiplyExact(rows.rows(), rows.columns());
    Tensor all = stored.computeIfAbsent(name, key -> scope.rowMajor(rows.type(), capacity, width));
    Tensor place = all.rows(position, position + 1).reshaped(rows.rows(), rows.columns());
    backend.linalg().convert(rows, place);
    return all.rows(0, position + 1);
  }
}
