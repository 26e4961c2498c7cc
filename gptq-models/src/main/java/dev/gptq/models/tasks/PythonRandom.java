package dev.gptq.models.tasks;

import java.util.LinkedHashSet;
import java.util.Set;

/**
 * The draws of Python's {@code random.Random(seed).sample}: the Mersenne Twister MT19937 of
 * Matsumoto and Nishimura, seeded by an array of one word. Examples that are drawn as others draw
 * them make results comparable.
 */
final class PythonRandom {
  private static final int N = 624;
  private static final int M = 397;

  private final int[] state = new int[N];
  private int next = N;

  PythonRandom(int seed) {
    state[0] = 19650218;
    for (int i = 1; i < N; i++) {
      state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
    int i = 1;
    for (int k = 0; k < N; k++) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1664525)) + seed;
      i = following(i);
    }
    for (int k = 0; k < N - 1; k++) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1566083941)) - i;
      i = following(i);
    }
    state[0] = 0x80000000;
  }

  private int following(int i) {
    if (i + 1 < N) {
      return i + 1;
    }
    state[0] = state[N - 1];
    return 1;
  }

  private int word() {
    if (next == N) {
      for (int i = 0; i < N; i++) {
        int y = (state[i] & 0x80000000) | (state[(i + 1) % N] & 0x7fffffff);
        state[i] = state[(i + M) % N] ^ (y >>> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
      }
      next = 0;
    }
    int y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >>> 18);
  }

  private int below(int bound) {
    int bits = Integer.SIZE - Integer.numberOfLeadingZeros(bound);
    int drawn = word() >>> (Integer.SIZE - bits);
    while (drawn >= bound) {
      drawn = word() >>> (Integer.SIZE - bits);
    }
    return drawn;
  }

  /** Draws {@code count} different indices below {@code size}, in the order drawn. */
  int[] sample(int size, int count) {
    if (size <= poolLimit(count)) {
      int[] pool = new int[size];
      for (int i = 0; i < size; i++) {
        pool[i] = i;
      }
      int[] drawn = new int[count];
      for (int i = 0; i < count; i++) {
        int at = below(size - i);
        drawn[i] = pool[at];
        pool[at] = pool[size - i - 1];
      }
      return drawn;
    }
    Set<Integer> drawn = new LinkedHashSet<>();
    while (drawn.size() < count) {
      drawn.add(below(size));
    }
    return drawn.stream().mapToInt(Integer::intValue).toArray();
  }

  /** Python copies small populations and draws from large ones until nothing repeats. */
  private static int poolLimit(int count) {
    int power = 1;
    while (count > 5 && power < 3 * count) {
      power *= 4;
    }
    return 21 + (count > 5 ? power : 0);
  }
}
