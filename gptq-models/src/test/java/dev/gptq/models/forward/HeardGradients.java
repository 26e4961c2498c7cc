package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What a backward pass tells of weights. */
public final class HeardGradients {
  private HeardGradients() {}

  /**
   * The gradients of the weights of all layers, {@code gradientᵀ·input}, in the order in which they
   * are told, of batch after batch; each window is to be followed by its first token everywhere.
   */
  public static List<float[]> of(Backend backend, BackwardPass pass, List<List<int[]>> batches) {
    List<float[]> heard = new ArrayList<>();
    for (List<int[]> batch : batches) {
      int token = batch.getFirst()[0];
      pass.run(
          batch,
          (logits, round, from, dLogits) -> {
            try (TensorScope local = backend.newScope()) {
              int[] labels =
                  Collections.nCopies(logits.rows(), token).stream().mapToInt(t -> t).toArray();
              backend
                  .gradients()
                  .crossEntropyGradient(
                      logits,
                      local.upload(
                          MemorySegment.ofArray(labels),
                          DType.I32,
                          1,
                          labels.length,
                          Layout.ROW_MAJOR),
                      dLogits);
            }
          },
          (block, module, input, gradient) -> {
            try (TensorScope local = backend.newScope()) {
              Tensor slope = local.rowMajor(DType.F32, module.outputs(), module.inputs());
              backend.linalg().gemm(1, gradient.transposed(), input, 0, slope);
              heard.add(HostCopies.floats(slope));
            }
          });
    }
    return heard;
  }
}
