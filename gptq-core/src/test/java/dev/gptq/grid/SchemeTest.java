package dev.gptq.grid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

final class SchemeTest {

  @Test
  void namesLeadBack() {
    for (Scheme scheme : Scheme.values()) {
      assertThat(Scheme.of(scheme.id())).isEqualTo(scheme);
    }
    assertThatThrownBy(() -> Scheme.of("symmetric"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("unknown scheme 'symmetric'; known: asym, sym, sym-restricted");
  }

  @Test
  void fourBits() {
    assertThat(Scheme.ASYMMETRIC.levels(4)).isEqualTo(15);
    assertThat(Scheme.SYMMETRIC.levels(4)).isEqualTo(15);
    assertThat(Scheme.SYMMETRIC_RESTRICTED.levels(4)).isEqualTo(14);
    assertThat(Scheme.HALF_OFFSET.levels(4)).isEqualTo(15);
    assertThat(Scheme.SYMMETRIC.fixedZero(4)).isEqualTo(8);
    assertThat(Scheme.SYMMETRIC_RESTRICTED.fixedZero(4)).isEqualTo(8);
    assertThat(Scheme.HALF_OFFSET.fixedZero(4)).isEqualTo(7.5f);
    assertThatThrownBy(() -> Scheme.ASYMMETRIC.fixedZero(4))
        .isInstanceOf(IllegalStateException.class);
  }

  /** The restricted and the half-offset grid are their own mirror images. */
  @Test
  void mirrorSymmetry() {
    for (int bits : new int[] {2, 3, 4, 5, 6, 7, 8}) {
      for (Scheme scheme : new Scheme[] {Scheme.SYMMETRIC_RESTRICTED, Scheme.HALF_OFFSET}) {
        float lowest = scheme.minCode() - scheme.fixedZero(bits);
        float highest = scheme.maxCode(bits) - scheme.fixedZero(bits);
        assertThat(lowest).isEqualTo(-highest);
        assertThat(highest - lowest).isEqualTo(scheme.levels(bits));
      }
    }
  }

  @Test
  void onlyAsymmetricGridsHaveZeroPoints() {
    for (Scheme scheme : Scheme.values()) {
      assertThat(scheme.hasZeroPoint()).isEqualTo(scheme == Scheme.ASYMMETRIC);
      assertThat(scheme.isMidRise()).isEqualTo(scheme == Scheme.HALF_OFFSET);
      assertThat(scheme.minCode()).isEqualTo(scheme == Scheme.SYMMETRIC_RESTRICTED ? 1 : 0);
      assertThat(scheme.maxCode(3)).isEqualTo(7);
    }
  }
}
