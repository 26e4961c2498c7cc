package dev.gptq.cuda;

import dev.gptq.backend.Activation;
import dev.gptq.tensor.DType;

/** The numbers by which kernels know element types and functions. */
final class KernelCodes {
  private KernelCodes() {}

  /** {@code Type} of common.cuh. */
  static int of(DType type) {
    return switch (type) {
      case F64 -> 0;
      case F32 -> 1;
      case F16 -> 2;
      case BF16 -> 3;
      case I32 -> 4;
      case U8 -> 5;
    };
  }

  /** {@code Function} of activation.cu. */
  static int of(Activation f) {
    return switch (f) {
      case SILU -> 0;
      case GELU -> 1;
      case GELU_TANH -> 2;
      case RELU -> 3;
      case RELU_SQUARED -> 4;
      case SIGMOID -> 5;
      case IDENTITY -> 6;
      case ELU_EXCESS -> 7;
    };
  }
}
