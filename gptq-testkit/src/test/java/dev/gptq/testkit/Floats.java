package dev.gptq.testkit;

import dev.gptq.host.HostTensor;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.function.DoubleUnaryOperator;

/** Access to the elements of float32 tensors of the reference backend. */
final class Floats {
  private Floats() {}

  static void update(Tensor tensor, DoubleUnaryOperator f) {
    HostTensor t = HostTensor.of(tensor);
    for (int r = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++) {
        set(t, r, c, (float) f.applyAsDouble(get(t, r, c)));
      }
    }
  }

  static float get(HostTensor t, int row, int column) {
    return t.segment().getAtIndex(ValueLayout.JAVA_FLOAT, t.index(row, column));
  }

  static void set(HostTensor t, int row, int column, float value) {
    t.segment().setAtIndex(ValueLayout.JAVA_FLOAT, t.index(row, column), value);
  }
}
