package example;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;

public class OneMatrix {
  /** Weights of that many rows, and a Hessian of columns × columns, both row after row. */
  static PackedMatrix quantize(float[] weights, int rows, float[] hessian, int columns) {
    GptqOptions options = GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), GptqOptions.PER_ROW);
    try (Backend backend = Backends.open("auto", BackendOptions.defaults(), refused -> {});
        TensorScope scope = backend.newScope()) {
      MemorySegment w = MemorySegment.ofArray(weights);
      MemorySegment h = MemorySegment.ofArray(hessian);
      Tensor weight = scope.upload(w, DType.F32, rows, columns, Layout.ROW_MAJOR);
      Tensor matrix = scope.upload(h, DType.F32, columns, columns, Layout.ROW_MAJOR);
      Hessian own = Hessian.of(backend, matrix, 1);
      HessianFactor factor = HessianFactor.of(backend, own, options, scope);
      return new Gptq(backend, options).quantize(weight, factor, scope).matrix().pack();
    }
  }
}
