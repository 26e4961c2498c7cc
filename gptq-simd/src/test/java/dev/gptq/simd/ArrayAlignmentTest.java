package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class ArrayAlignmentTest {
  @Test
  void neighboursDifferByTheirDistance() {
    boolean[] seen = new boolean[16];
    float[][] arrays = new float[1000][];
    for (int i = 0; i < arrays.length; i++) {
      arrays[i] = new float[2 + i % 17];
      int first = ArrayAlignment.first(arrays[i]);
      assertThat(first).isBetween(0, ArrayAlignment.SLACK);
      // Arrays begin at multiples of 8 bytes, their elements 16 bytes later.
      assertThat(first % 2).isZero();
      seen[first] = true;
    }
    int places = 0;
    for (boolean place : seen) {
      places += place ? 1 : 0;
    }
    assertThat(places).as("places of arrays within a line").isGreaterThan(1);
  }

  @Test
  void nothingIsWritten() {
    float[] array = new float[100];
    Arrays.fill(array, 7);
    ArrayAlignment.first(array);
    assertThat(array).containsOnly(7);
  }
}
