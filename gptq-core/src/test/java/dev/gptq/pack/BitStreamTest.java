package dev.gptq.pack;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class BitStreamTest {
  private static final int[] BITS = {2, 3, 4, 5, 6, 7, 8};

  private static int[] packCounting(int bits, int codes) {
    int[] words = new int[BitStream.words(codes, bits)];
    for (int k = 0; k < codes; k++) {
      BitStream.put(MemorySegment.ofArray(words), 1, 0, k, bits, k & ((1 << bits) - 1));
    }
    return words;
  }

  /** Codes k mod 2^b for k = 0 … 31. */
  @Test
  void knownWords() {
    assertThat(packCounting(2, 32)).containsExactly(0xE4E4E4E4, 0xE4E4E4E4);
    assertThat(packCounting(3, 32)).containsExactly(0x88FAC688, 0xC688FAC6, 0xFAC688FA);
    assertThat(packCounting(4, 32)).containsExactly(0x76543210, 0xFEDCBA98, 0x76543210, 0xFEDCBA98);
    assertThat(packCounting(8, 32))
        .containsExactly(
            0x03020100,
            0x07060504,
            0x0B0A0908,
            0x0F0E0D0C,
            0x13121110,
            0x17161514,
            0x1B1A1918,
            0x1F1E1D1C);
  }

  /** Ten codes of three bits, then the low two bits of the next: the historical 10 + 1 + 10 + 1. */
  @Test
  void codesOfThreeBitsStraddleWords() {
    int[] words = new int[3];
    MemorySegment segment = MemorySegment.ofArray(words);
    BitStream.put(segment, 1, 0, 10, 3, 0b101);
    assertThat(words).containsExactly(0b01 << 30, 0b1, 0);
    BitStream.put(segment, 1, 0, 21, 3, 0b110);
    assertThat(words).containsExactly(0b01 << 30, 0b1, 0b11);
    assertThat(BitStream.get(segment, 1, 0, 10, 3)).isEqualTo(0b101);
    assertThat(BitStream.get(segment, 1, 0, 21, 3)).isEqualTo(0b110);
  }

  @Test
  void numberOfWordsRoundsUp() {
    assertThat(BitStream.words(0, 3)).isZero();
    assertThat(BitStream.words(10, 3)).isEqualTo(1);
    assertThat(BitStream.words(11, 3)).isEqualTo(2);
    assertThat(BitStream.words(32, 3)).isEqualTo(3);
    assertThat(BitStream.words(Integer.MAX_VALUE, 8)).isEqualTo(536_870_912);
  }

  @Test
  void randomCodesComeBackFromEveryStream() {
    Random random = new Random(5);
    for (int bits : BITS) {
      for (int codes : new int[] {1, 9, 11, 32, 33, 100}) {
        int streams = 1 + random.nextInt(5);
        int[][] expected = new int[streams][codes];
        byte[] bytes = new byte[4 * BitStream.words(codes, bits) * streams + 1];
        // Mapped files need not be aligned.
        MemorySegment words = MemorySegment.ofArray(bytes).asSlice(1);
        for (int c = 0; c < streams; c++) {
          for (int k = 0; k < codes; k++) {
            expected[c][k] = random.nextInt(1 << bits);
            BitStream.put(words, streams, c, k, bits, expected[c][k]);
          }
        }
        for (int c = 0; c < streams; c++) {
          for (int k = 0; k < codes; k++) {
            assertThat(BitStream.get(words, streams, c, k, bits))
                .as("code %s of stream %s at %s bits", k, c, bits)
                .isEqualTo(expected[c][k]);
          }
        }
      }
    }
  }

  /** The stream as one big number: code k is {@code (number >> k·b) mod 2^b}. */
  @Test
  void streamIsALittleEndianNumber() {
    Random random = new Random(6);
    for (int bits : BITS) {
      int[] words = new int[6];
      BigInteger number = BigInteger.ZERO;
      for (int k = 0; k < 6 * 32 / bits; k++) {
        int code = random.nextInt(1 << bits);
        BitStream.put(MemorySegment.ofArray(words), 1, 0, k, bits, code);
        number = number.or(BigInteger.valueOf(code).shiftLeft(k * bits));
      }
      for (int w = 0; w < words.length; w++) {
        assertThat(words[w]).isEqualTo(number.shiftRight(32 * w).intValue());
      }
    }
  }
}
