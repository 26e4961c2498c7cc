package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import org.junit.jupiter.api.Test;

/**
 * The kit on a backend that keeps activations in bfloat16: the reference backend, told to do so. It
 * sums in float64 and rounds once, so it must pass, and what is wrong in bfloat16 must not.
 */
final class Bfloat16ConformanceTest {
  private static final Interceptor BFLOAT16 =
      new Interceptor("activationType", (target, backend, type, a) -> DType.BF16);

  @Test
  void transformer() {
    Planted.assertAllPass(Planted.Transformer.class, BFLOAT16);
  }

  @Test
  void attention() {
    Planted.assertAllPass(Planted.Attention.class, BFLOAT16);
  }

  @Test
  void packedMatmul() {
    Planted.assertAllPass(Planted.PackedMatmul.class, BFLOAT16);
  }

  @Test
  void lifetime() {
    Planted.assertAllPass(Planted.Lifetime.class, BFLOAT16);
  }
}
