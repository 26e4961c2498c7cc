package dev.gptq.bench.device;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;

/** Operands of device benchmarks, from a fixed seed. */
final class Operands {
  /** Numbers that are drawn; larger tensors repeat rows. */
  private static final int DRAWN = 1 << 22;

  private static final float DAMPING = 0.02f;

  private final Backend backend;
  private final TensorScope scope;
  private final Random random = new Random(7);

  Operands(Backend backend, TensorScope scope) {
    this.backend = backend;
    this.scope = scope;
  }

  /** A row-major matrix of normal numbers. */
  Tensor normal(DType type, int rows, int columns, double deviation) {
    int part = Math.clamp(DRAWN / columns, 1, rows);
    float[] values = new float[part * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    Tensor tensor = scope.rowMajor(type, rows, columns);
    try (TensorScope local = backend.newScope()) {
      Tensor drawn =
          local.upload(MemorySegment.ofArray(values), DType.F32, part, columns, Layout.ROW_MAJOR);
      for (int row = 0; row < rows; row += part) {
        int count = Math.min(part, rows - row);
        backend.linalg().convert(drawn.rows(0, count), tensor.rows(row, row + count));
      }
    }
    return tensor;
  }

  /** A Hessian of more tokens than columns. */
  Hessian hessian(int columns) {
    Hessian hessian = new Hessian(backend, scope, columns);
    try (TensorScope local = backend.newScope()) {
      hessian.add(
          new Operands(backend, local).normal(backend.activationType(), 2 * columns, columns, 1));
      // Rows repeat, so that without this it would be singular.
      float[] some = new float[columns];
      Arrays.fill(some, DAMPING * columns);
      backend.linalg().addToDiagonal(local.upload(some), hessian.matrix());
    }
    return hessian;
  }

  /** Packed weights with random codes. */
  PackedMatrix packed(Scheme scheme, int bits, int outputs, int inputs, int group) {
    byte[] words = new byte[4 * BitStream.words(inputs, bits) * outputs];
    random.nextBytes(words);
    int groups = inputs / group;
    float[] scales = new float[groups * outputs];
    float[] zeros = new float[groups * outputs];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = Float.float16ToFloat(Float.floatToFloat16(0.01f + 0.001f * (i % 7)));
      zeros[i] = i % (1 << bits);
    }
    return new PackedMatrix(
        scheme,
        bits,
        outputs,
        inputs,
        groups,
        MemorySegment.ofArray(words),
        MemorySegment.ofArray(scales),
        scheme.hasZeroPoint() ? Optional.of(MemorySegment.ofArray(zeros)) : Optional.empty(),
        Optional.empty());
  }
}
