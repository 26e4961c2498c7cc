package dev.gptq.pack;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.grid.Scheme;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** That rows of several matrices keep their weights in one. */
final class JoinedRowsTest {
  private final Random random = new Random(3);

  private PackedMatrix matrix(Scheme scheme, int bits, int rows, Optional<int[]> groupOf) {
    int columns = 48;
    int groups = 3;
    int[] words = random.ints((long) BitStream.words(columns, bits) * rows).toArray();
    return new PackedMatrix(
        scheme,
        bits,
        rows,
        columns,
        groups,
        MemorySegment.ofArray(words),
        floats(groups * rows),
        scheme.hasZeroPoint() ? Optional.of(floats(groups * rows)) : Optional.empty(),
        groupOf);
  }

  private MemorySegment floats(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextFloat();
    }
    return MemorySegment.ofArray(values);
  }

  @Test
  void weightsStayTheSame() {
    int[] scattered = new int[48];
    for (int i = 0; i < 48; i++) {
      scattered[i] = i % 3;
    }
    for (Scheme scheme : new Scheme[] {Scheme.SYMMETRIC, Scheme.ASYMMETRIC}) {
      for (int bits : new int[] {3, 4, 8}) {
        Optional<int[]> groupOf = bits == 4 ? Optional.of(scattered) : Optional.empty();
        List<PackedMatrix> parts =
            List.of(
                matrix(scheme, bits, 5, groupOf),
                matrix(scheme, bits, 1, groupOf),
                matrix(scheme, bits, 17, groupOf));
        assertThat(JoinedRows.fit(parts)).isTrue();
        try (Arena arena = Arena.ofConfined()) {
          PackedMatrix whole = JoinedRows.of(parts, arena);
          assertThat(whole.rows()).isEqualTo(23);
          int row = 0;
          for (PackedMatrix part : parts) {
            for (int o = 0; o < part.rows(); o++, row++) {
              for (int i = 0; i < 48; i++) {
                assertThat(whole.weight(row, i)).isEqualTo(part.weight(o, i));
              }
            }
          }
        }
      }
    }
  }

  @Test
  void otherCodesOrGroupsDoNotFit() {
    PackedMatrix one = matrix(Scheme.SYMMETRIC, 4, 5, Optional.empty());
    int[] scattered = new int[48];
    assertThat(JoinedRows.fit(List.of(one, matrix(Scheme.SYMMETRIC, 3, 5, Optional.empty()))))
        .isFalse();
    assertThat(JoinedRows.fit(List.of(one, matrix(Scheme.ASYMMETRIC, 4, 5, Optional.empty()))))
        .isFalse();
    assertThat(JoinedRows.fit(List.of(one, matrix(Scheme.SYMMETRIC, 4, 5, Optional.of(scattered)))))
        .isFalse();
    assertThat(JoinedRows.fit(List.of(one, matrix(Scheme.SYMMETRIC, 4, 2, Optional.empty()))))
        .isTrue();
  }
}
