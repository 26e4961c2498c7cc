package dev.gptq.quantizer.observe;

import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/**
 * {@code tr((W − Q) H (W − Q)ᵀ) / tokens} in plain loops and double precision, from the weights of
 * a full-precision model, packed weights, and stored Hessians.
 */
record TrueErrors(Model model, Backend backend, HessianFolder hessians) {

  double of(String name, PackedMatrix packed) {
    for (int b = 0; b < model.spec().blocks().size(); b++) {
      BlockSpec block = model.spec().blocks().get(b);
      List<Step.Linears> groups = block.groups().toList();
      for (int g = 0; g < groups.size(); g++) {
        for (LinearSpec module : groups.get(g).modules()) {
          if (block.nameOf(module).equals(name)) {
            return of(name, module, packed, b, g);
          }
        }
      }
    }
    throw new IllegalArgumentException(name);
  }

  private double of(String name, LinearSpec module, PackedMatrix packed, int block, int group) {
    try (TensorScope scope = backend.newScope()) {
      Tensor weight = scope.rowMajor(DType.F32, module.outputs(), module.inputs());
      backend.linalg().convert(model.weights(backend).stored(name, module, scope), weight);
      float[] w = HostCopies.floats(weight);
      Hessian hessian = hessians.find(block, group, backend, scope).orElseThrow();
      float[] h = HostCopies.floats(hessian.matrix());
      int n = module.inputs();
      double sum = 0;
      for (int o = 0; o < module.outputs(); o++) {
        double[] d = new double[n];
        for (int i = 0; i < n; i++) {
          d[i] = (double) w[o * n + i] - packed.weight(o, i);
        }
        for (int i = 0; i < n; i++) {
          double product = 0;
          for (int j = 0; j < i; j++) {
            product += h[i * n + j] * d[j];
          }
          sum += d[i] * (2 * product + h[i * n + i] * d[i]);
        }
      }
      return sum / hessian.tokens();
    }
  }
}
