package dev.gptq.grid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.tensor.DType;
import org.junit.jupiter.api.Test;

final class GridSpecTest {
  private static float round(float scale, DType type) {
    return GridSpec.of(Scheme.SYMMETRIC, 4).withScaleType(type).roundScale(scale);
  }

  @Test
  void widthsAndTypesAreChecked() {
    for (int bits : new int[] {-1, 0, 1, 9, 16}) {
      assertThatThrownBy(() -> GridSpec.of(Scheme.SYMMETRIC, bits))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("bits must be between 2 and 8 but is " + bits);
    }
    for (DType type : new DType[] {DType.F64, DType.I32, DType.U8}) {
      assertThatThrownBy(() -> GridSpec.of(Scheme.SYMMETRIC, 4).withScaleType(type))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void float32ScalesStay() {
    assertThat(round(0.1f, DType.F32)).isEqualTo(0.1f);
    assertThat(round(1e-30f, DType.F32)).isEqualTo(1e-30f);
  }

  /** Ties go to the even neighbour; the ends of the range are never left. */
  @Test
  void float16Scales() {
    assertThat(round(1 + 0x1p-11f, DType.F16)).isEqualTo(1);
    assertThat(round(1 + 3 * 0x1p-11f, DType.F16)).isEqualTo(1 + 0x1p-9f);
    assertThat(round(1 + 0x1.1p-11f, DType.F16)).isEqualTo(1 + 0x1p-10f);
    assertThat(round(1e-12f, DType.F16)).isEqualTo(0x1p-24f);
    assertThat(round(0x1p-24f, DType.F16)).isEqualTo(0x1p-24f);
    assertThat(round(0x1.8p-24f, DType.F16)).isEqualTo(0x1p-23f);
    assertThat(round(65504, DType.F16)).isEqualTo(65504);
    assertThat(round(65519, DType.F16)).isEqualTo(65504);
    assertThat(round(1e30f, DType.F16)).isEqualTo(65504);
  }

  @Test
  void bfloat16Scales() {
    assertThat(round(1 + 0x1p-8f, DType.BF16)).isEqualTo(1);
    assertThat(round(1 + 3 * 0x1p-8f, DType.BF16)).isEqualTo(1 + 0x1p-6f);
    assertThat(round(1 + 0x1.1p-8f, DType.BF16)).isEqualTo(1 + 0x1p-7f);
    assertThat(round(1e-30f, DType.BF16)).isBetween(0.99e-30f, 1.01e-30f);
    assertThat(round(1e30f, DType.BF16)).isBetween(0.99e30f, 1.01e30f);
  }

  /** What has 8 bits is the same number in float16 and bfloat16, and so is what has 7. */
  @Test
  void scalesOfEightBitsSurviveBothTypes() {
    for (int scaleBits : new int[] {7, 8}) {
      GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4).withScaleBits(scaleBits);
      for (int half = 1; half <= 0x7bff; half++) {
        float scale = Float.float16ToFloat((short) half);
        float rounded = spec.roundScale(scale);
        assertThat(Float.float16ToFloat(Float.floatToFloat16(rounded))).isEqualTo(rounded);
        assertThat(round(rounded, DType.BF16)).isEqualTo(rounded);
        if (scale >= 0x1p-14f && scale <= spec.largestScale()) {
          assertThat(Math.abs(rounded / scale - 1)).isLessThanOrEqualTo(Math.scalb(1f, -scaleBits));
        }
      }
      assertThat(spec.roundScale(-1e30f)).isEqualTo(-spec.largestScale());
    }
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4).withScaleBits(8);
    assertThat(spec.largestScale()).isEqualTo(65280);
    assertThat(spec.roundScale(1 + 0x1p-8f)).isEqualTo(1);
    assertThat(spec.roundScale(1 + 3 * 0x1p-8f)).isEqualTo(1 + 0x1p-6f);
    assertThat(spec.roundScale(-(1 + 0x1.1p-8f))).isEqualTo(-(1 + 0x1p-7f));
  }

  @Test
  void scaleBitsAndLeastZeroAreChecked() {
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    assertThatThrownBy(() -> spec.withScaleBits(3)).hasMessageContaining("not 3");
    assertThatThrownBy(() -> spec.withScaleBits(25)).hasMessageContaining("between 4 and 24");
    assertThatThrownBy(() -> spec.withLeastZero(1)).hasMessageContaining("least zero point");
  }

  /** Every value of the short types is its own rounding. */
  @Test
  void storedValuesStay() {
    for (int bits = 1; bits <= 0x7bff; bits++) {
      float half = Float.float16ToFloat((short) bits);
      assertThat(round(half, DType.F16)).isEqualTo(half);
    }
    for (int bits = 1; bits < 0x7f80; bits++) {
      float brain = Float.intBitsToFloat(bits << 16);
      assertThat(round(brain, DType.BF16)).isEqualTo(brain);
    }
  }
}
