package dev.gptq.bench;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** Operands of benchmarks: standard normal numbers from a fixed seed. */
final class Data {
  private Data() {}

  /** A matrix of the given type. */
  static Tensor normal(
      TensorScope scope, DType type, int rows, int columns, Layout layout, long seed) {
    Random random = new Random(seed);
    long count = (long) rows * columns;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment values = arena.allocate(count * type.bytes(), Double.BYTES);
      for (long i = 0; i < count; i++) {
        float value = (float) random.nextGaussian();
        if (type == DType.F32) {
          values.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        } else {
          // Truncated, which is as good a random bfloat16 as the rounded one.
          short upper = (short) (Float.floatToRawIntBits(value) >>> 16);
          values.setAtIndex(ValueLayout.JAVA_SHORT, i, upper);
        }
      }
      return scope.upload(values, type, rows, columns, layout);
    }
  }

  /** An F32 matrix. */
  static Tensor normal(TensorScope scope, int rows, int columns, Layout layout, long seed) {
    return normal(scope, DType.F32, rows, columns, layout, seed);
  }
}
