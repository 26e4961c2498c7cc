package dev.gptq.models.forward;

import java.io.IOException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Gradients of mixtures against finite differences, so small that tokens keep their experts. */
final class ExpertGradientTest {
  private static final double STEP = 3e-5;

  /** Weights of outputs, of inputs, and a shared expert with a gate. */
  @ParameterizedTest
  @CsvSource({"llama4, simd", "qwen2-moe, simd", "granite-moe, reference"})
  void gradientsAreThoseOfFiniteDifferences(String checkpoint, String backend) throws IOException {
    BackwardPassTest.check(checkpoint, backend, STEP);
  }
}
