package dev.gptq.models.forward;

import dev.gptq.models.family.RopeSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/**
 * Sines and cosines of rotary positions.
 *
 * @param cosine F32, positions × channel pairs
 * @param sine as cosine
 */
record RopeTable(Tensor cosine, Tensor sine) {

  /** The table for positions 0 … positions − 1. */
  static RopeTable of(RopeSpec spec, int positions, RopeValues values, TensorScope scope) {
    int pairs = spec.frequencies().length();
    return new RopeTable(
        upload(() -> values.of(spec, positions).cosines(), positions, pairs, scope),
        upload(() -> values.of(spec, positions).sines(), positions, pairs, scope));
  }

  private static Tensor upload(Supplier<float[]> values, int rows, int columns, TensorScope scope) {
    return scope.upload(
        () -> MemorySegment.ofArray(values.get()), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }
}
