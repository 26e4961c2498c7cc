package dev.gptq.reference;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;

/** Products with packed weights, one code at a time, summed in float64. */
final class ReferencePackedMatmul implements PackedMatmul {

  private record Weights(PackedMatrix matrix) implements PackedWeights {
    @Override
    public int rows() {
      return matrix.rows();
    }

    @Override
    public int columns() {
      return matrix.columns();
    }

    @Override
    public long byteSize() {
      return matrix.words().byteSize()
          + matrix.scales().byteSize()
          + matrix.zeros().map(MemorySegment::byteSize).orElse(0L);
    }
  }

  @Override
  public PackedWeights prepare(PackedMatrix matrix, TensorScope scope) {
    return new Weights(matrix);
  }

  @Override
  public void matmul(Tensor x, PackedWeights weights, Tensor y) {
    PackedMatrix m = ((Weights) weights).matrix();
    int in = m.columns();
    int out = m.rows();
    float[] xv = Elements.load(x);
    float[] yv = new float[x.rows() * out];
    float[] row = new float[in];
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        row[i] = m.weight(o, i);
      }
      for (int t = 0; t < x.rows(); t++) {
        double sum = 0;
        for (int i = 0; i < in; i++) {
          sum += (double) xv[t * in + i] * row[i];
        }
        yv[t * out + o] = (float) sum;
      }
    }
    Elements.store(yv, y);
  }
}
