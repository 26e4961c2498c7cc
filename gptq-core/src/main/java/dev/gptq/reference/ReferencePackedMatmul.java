package dev.gptq.reference;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.host.HostTensor;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Products with packed weights, one code at a time, summed in float64. */
final class ReferencePackedMatmul implements PackedMatmul {

  /** The matrix with its segments in tensors, which live as long as their scope. */
  private record Weights(PackedMatrix shape, Tensor words, Tensor scales, Optional<Tensor> zeros)
      implements PackedWeights {
    @Override
    public int rows() {
      return shape.rows();
    }

    @Override
    public int columns() {
      return shape.columns();
    }

    @Override
    public long byteSize() {
      return words.byteSize() + scales.byteSize() + zeros.map(Tensor::byteSize).orElse(0L);
    }

    PackedMatrix matrix() {
      return new PackedMatrix(
          shape.scheme(),
          shape.bits(),
          shape.rows(),
          shape.columns(),
          shape.groups(),
          segment(words),
          segment(scales),
          zeros.map(Weights::segment),
          shape.groupOf());
    }

    private static MemorySegment segment(Tensor tensor) {
      return HostTensor.of(tensor).segment().asSlice(0, tensor.byteSize());
    }
  }

  @Override
  public PackedWeights prepare(PackedMatrix matrix, TensorScope scope) {
    int words = BitStream.words(matrix.columns(), matrix.bits());
    return new Weights(
        matrix,
        scope.upload(matrix.words(), DType.I32, words, matrix.rows(), Layout.ROW_MAJOR),
        upload(matrix.scales(), matrix, scope),
        matrix.zeros().map(zeros -> upload(zeros, matrix, scope)));
  }

  private static Tensor upload(MemorySegment values, PackedMatrix matrix, TensorScope scope) {
    return scope.upload(values, DType.F32, matrix.groups(), matrix.rows(), Layout.ROW_MAJOR);
  }

  @Override
  public void matmul(Tensor x, PackedWeights weights, Tensor y) {
    if (!(weights instanceof Weights own)) {
      throw new IllegalArgumentException(
          "packed weights of another backend ("
              + weights.getClass().getSimpleName()
              + ") were passed; prepare them with this one");
    }
    PackedMatrix m = own.matrix();
    int in = m.columns();
    int out = m.rows();
    float[] xv = RowArrays.load(x);
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
    RowArrays.store(yv, y);
  }
}
