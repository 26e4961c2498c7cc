package dev.gptq.tensor;

import java.lang.foreign.MemorySegment;

/** Copies of small tensors in Java arrays: diagonals, scales, scalars. Each call synchronises. */
public final class HostCopies {
  private HostCopies() {}

  /** The elements of an F32 tensor in its own layout. */
  public static float[] floats(Tensor tensor) {
    require(tensor, DType.F32);
    float[] values = new float[Math.toIntExact(tensor.elements())];
    tensor.copyTo(MemorySegment.ofArray(values));
    return values;
  }

  /** The elements of an I32 tensor in its own layout. */
  public static int[] ints(Tensor tensor) {
    require(tensor, DType.I32);
    int[] values = new int[Math.toIntExact(tensor.elements())];
    tensor.copyTo(MemorySegment.ofArray(values));
    return values;
  }

  /** The elements of a U8 tensor in its own layout. */
  public static byte[] bytes(Tensor tensor) {
    require(tensor, DType.U8);
    byte[] values = new byte[Math.toIntExact(tensor.elements())];
    tensor.copyTo(MemorySegment.ofArray(values));
    return values;
  }

  /** The elements of an F64 tensor in its own layout. */
  public static double[] doubles(Tensor tensor) {
    require(tensor, DType.F64);
    double[] values = new double[Math.toIntExact(tensor.elements())];
    tensor.copyTo(MemorySegment.ofArray(values));
    return values;
  }

  /** The single element of a 1 × 1 F64 tensor. */
  public static double scalar(Tensor tensor) {
    return doubles(tensor)[0];
  }

  private static void require(Tensor tensor, DType type) {
    if (tensor.type() != type) {
      throw new IllegalArgumentException(
          "expected " + type + " but the tensor is " + tensor.type());
    }
  }
}
