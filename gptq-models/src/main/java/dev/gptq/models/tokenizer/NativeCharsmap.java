package dev.gptq.models.tokenizer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.BitSet;
import java.util.Deque;

/**
 * A {@code precompiled_charsmap} of SentencePiece: the size of a double-array trie in bytes, its
 * units of 32 bits, and replacements in UTF-8 of which each ends with a zero. The native library
 * follows the trie without looking where it leads, and ends the process where that is nowhere.
 */
final class NativeCharsmap {
  /** The largest byte in UTF-8. */
  private static final int LAST_BYTE = 0xf4;

  private final IntBuffer units;
  private final byte[] replacements;
  private final Deque<Integer> nodes = new ArrayDeque<>();
  private final BitSet seen = new BitSet();

  private NativeCharsmap(IntBuffer units, byte[] replacements) {
    this.units = units;
    this.replacements = replacements;
  }

  /** Whether any text can be mapped; {@code base64} is what the file has. */
  static boolean isSound(String base64) {
    byte[] bytes;
    try {
      bytes = Base64.getDecoder().decode(base64);
    } catch (IllegalArgumentException e) {
      return false;
    }
    ByteBuffer rest = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (rest.remaining() < Integer.BYTES) {
      return false;
    }
    long size = Integer.toUnsignedLong(rest.getInt()) / Integer.BYTES;
    if (size == 0 || size > rest.remaining() / Integer.BYTES) {
      return false;
    }
    IntBuffer units = rest.asIntBuffer().limit((int) size);
    byte[] replacements = new byte[rest.remaining() - (int) size * Integer.BYTES];
    rest.get(rest.position() + (int) size * Integer.BYTES, replacements);
    return new NativeCharsmap(units, replacements).isSound();
  }

  private boolean isSound() {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(replacements));
    } catch (CharacterCodingException e) {
      return false;
    }
    reach(offset(units.get(0)));
    while (!nodes.isEmpty()) {
      int node = nodes.pop();
      for (int next = 1; next <= LAST_BYTE; next++) {
        int place = node ^ next;
        if (place >= units.limit()) {
          return false;
        }
        int unit = units.get(place);
        if (label(unit) == next) {
          int target = place ^ offset(unit);
          if (hasLeaf(unit) && !isReplacement(target)) {
            return false;
          }
          reach(target);
        }
      }
    }
    return true;
  }

  private void reach(int node) {
    if (!seen.get(node)) {
      seen.set(node);
      nodes.push(node);
    }
  }

  /** Whether a unit holds the place of a replacement, which begins with a whole character. */
  private boolean isReplacement(int place) {
    if (place >= units.limit()) {
      return false;
    }
    int from = units.get(place) & Integer.MAX_VALUE;
    return from == replacements.length
        || (from < replacements.length && (replacements[from] & 0xc0) != 0x80);
  }

  private static int offset(int unit) {
    return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  }

  /** The byte that leads to a unit; none if it holds the place of a replacement. */
  private static int label(int unit) {
    return unit & (Integer.MIN_VALUE | 0xff);
  }

  private static boolean hasLeaf(int unit) {
    return (unit >>> 8 & 1) == 1;
  }
}
