package dev.gptq.grid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;

final class ErrorNormTest {
  private static final double RELATIVE_ERROR = 1e-5;

  private static void assertIsPower(float x) {
    double power = Math.pow(Math.abs((double) x), 2.4f);
    assertThat((double) ErrorNorm.of(x))
        .as("of %s", x)
        .isCloseTo(power, within(RELATIVE_ERROR * power));
  }

  @Test
  void agreesWithPow() {
    Random random = new Random(3);
    for (int i = 0; i < 100_000; i++) {
      float magnitude = (float) Math.pow(2, random.nextDouble() * 79 - 40);
      assertIsPower(Math.max(magnitude, ErrorNorm.SMALLEST));
      assertIsPower(-Math.max(magnitude, ErrorNorm.SMALLEST));
    }
  }

  /** Just under and over powers of two, where the polynomials begin and end. */
  @Test
  void agreesWithPowAroundPowersOfTwo() {
    for (int k = -39; k < 40; k++) {
      float power = Math.scalb(1f, k);
      assertIsPower(power);
      assertIsPower(Math.nextDown(power));
      assertIsPower(Math.nextUp(power));
    }
  }

  @Test
  void tinyErrorsCountAsNone() {
    assertThat(ErrorNorm.of(0)).isZero();
    assertThat(ErrorNorm.of(-0f)).isZero();
    assertThat(ErrorNorm.of(Math.nextDown(ErrorNorm.SMALLEST))).isZero();
    assertThat(ErrorNorm.of(ErrorNorm.SMALLEST)).isPositive();
    assertThat(ErrorNorm.of(Float.MIN_VALUE)).isZero();
  }

  @Test
  void growsWithTheError() {
    float before = 0;
    for (float x = 0x1p-10f; x < 0x1p10f; x *= 1.001f) {
      float now = ErrorNorm.of(x);
      assertThat(now).isGreaterThan(before);
      before = now;
    }
  }

  @Test
  void coefficientsAreCopies() {
    ErrorNorm.log2Coefficients()[0] = 1;
    ErrorNorm.exp2Coefficients()[0] = 1;
    assertThat(ErrorNorm.log2Coefficients()[0]).isNotEqualTo(1);
    assertThat(ErrorNorm.exp2Coefficients()[0]).isNotEqualTo(1);
  }
}
