package dev.gptq.backend;

/** Activation functions of feed-forward layers and gates. */
public enum Activation {
  /** {@code x·σ(x)}. */
  SILU,
  /** {@code x·Φ(x)} with the error function. */
  GELU,
  /** {@code ½x(1 + tanh(√(2/π)(x + 0.044715x³)))}. */
  GELU_TANH,
  /** {@code max(x, 0)}. */
  RELU,
  /** {@code max(x, 0)²}. */
  RELU_SQUARED,
  /** {@code x}. */
  IDENTITY,
  /** {@code 1/(1 + e^−x)}. */
  SIGMOID,
  /** {@code e^x − 1 − x} where x is negative, else 0. */
  ELU_EXCESS
}
