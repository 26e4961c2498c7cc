package dev.gptq.pack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.grid.Scheme;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** {@link PackedMatrix} and {@link Packer}. */
final class PackedMatrixTest {
  private static final int ROWS = 5;
  private static final int COLUMNS = 12;

  private final Random random = new Random(9);

  private static MemorySegment floats(float... values) {
    return MemorySegment.ofArray(values);
  }

  private byte[] codes(int bits) {
    byte[] codes = new byte[ROWS * COLUMNS];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(1 << bits);
    }
    return codes;
  }

  @Test
  void packedCodesAndWeightsComeBack() {
    float[] scales = {0.5f, 1, 2, 4, 8, 0.25f, 3, 5, 7, 9};
    float[] zeros = {1, 2, 3, 0, 1, 2, 3, 0, 1, 2};
    int[] groupOf = {0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1};
    for (int bits : new int[] {2, 3, 4, 5, 6, 7, 8}) {
      byte[] codes = codes(bits);
      PackedMatrix packed =
          Packer.pack(
              Scheme.ASYMMETRIC,
              bits,
              ROWS,
              groupOf,
              codes,
              floats(scales),
              Optional.of(floats(zeros)));
      assertThat(packed.groups()).isEqualTo(2);
      assertThat(packed.columns()).isEqualTo(COLUMNS);
      for (int o = 0; o < ROWS; o++) {
        for (int i = 0; i < COLUMNS; i++) {
          int code = Byte.toUnsignedInt(codes[i * ROWS + o]);
          int g = groupOf[i];
          assertThat(packed.group(i)).isEqualTo(g);
          assertThat(packed.code(o, i)).as("code of %s bits", bits).isEqualTo(code);
          assertThat(packed.weight(o, i))
              .isEqualTo(scales[g * ROWS + o] * (code - zeros[g * ROWS + o]));
        }
      }
    }
  }

  @Test
  void regularGroupsNeedNoIndex() {
    int[] groupOf = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2};
    PackedMatrix packed =
        Packer.pack(
            Scheme.HALF_OFFSET,
            4,
            ROWS,
            groupOf,
            codes(4),
            floats(new float[3 * ROWS]),
            Optional.empty());
    assertThat(packed.groupOf()).isEmpty();
    assertThat(packed.groupSize()).isEqualTo(4);
    assertThat(packed.group(11)).isEqualTo(2);
    assertThat(packed.zero(0, 0)).isEqualTo(7.5f);
  }

  private static PackedMatrix matrix(
      Scheme scheme, long wordBytes, int scales, Optional<MemorySegment> zeros, int groups) {
    return new PackedMatrix(
        scheme,
        4,
        2,
        8,
        groups,
        MemorySegment.ofArray(new byte[(int) wordBytes]),
        floats(new float[scales]),
        zeros,
        Optional.empty());
  }

  @Test
  void zeroPointsInTheMiddleNeedNotBeStored() {
    PackedMatrix centred = matrix(Scheme.ASYMMETRIC, 8, 4, Optional.of(floats(8, 8, 8, 8)), 2);
    assertThat(centred.isCentred()).isTrue();
    assertThat(centred.centred().scheme()).isEqualTo(Scheme.SYMMETRIC);
    assertThat(centred.centred().weight(1, 7)).isEqualTo(centred.weight(1, 7));
    PackedMatrix other = matrix(Scheme.ASYMMETRIC, 8, 4, Optional.of(floats(8, 8, 8, 7)), 2);
    assertThat(other.isCentred()).isFalse();
    assertThatThrownBy(other::centred).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void wrongSizesAreRejected() {
    assertThat(matrix(Scheme.SYMMETRIC, 8, 2, Optional.empty(), 1).groupSize()).isEqualTo(8);
    assertThatThrownBy(() -> matrix(Scheme.SYMMETRIC, 12, 2, Optional.empty(), 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("12 bytes of packed words do not hold 2 x 8 codes of 4 bits");
    assertThatThrownBy(() -> matrix(Scheme.SYMMETRIC, 8, 3, Optional.empty(), 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> matrix(Scheme.ASYMMETRIC, 8, 2, Optional.empty(), 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> matrix(Scheme.ASYMMETRIC, 8, 2, Optional.of(floats(new float[3])), 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> matrix(Scheme.SYMMETRIC, 8, 2, Optional.of(floats(1, 1)), 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> matrix(Scheme.SYMMETRIC, 8, 6, Optional.empty(), 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("3 groups do not divide 8 columns");
  }
}
