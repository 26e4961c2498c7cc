package dev.gptq.quantizer.tune;

import com.google.common.primitives.Ints;
import java.util.Collections;
import java.util.Random;
import java.util.stream.IntStream;

/** Windows in an order that is shuffled anew, with a fixed seed, each time all have been taken. */
final class WindowOrder {
  private static final long SEED = 20_261_129L;

  private final Random random = new Random(SEED);
  private final int[] order;
  private int taken;

  WindowOrder(int windows) {
    this.order = IntStream.range(0, windows).toArray();
    shuffle();
  }

  private void shuffle() {
    Collections.shuffle(Ints.asList(order), random);
    taken = 0;
  }

  /** Leaves out what so many calls of {@link #next} would give. */
  void skip(int calls, int count) {
    for (int i = 0; i < calls; i++) {
      next(count);
    }
  }

  /** The next so many windows, or all where there are not as many. */
  int[] next(int count) {
    int[] next = new int[Math.min(count, order.length)];
    for (int i = 0; i < next.length; i++) {
      if (taken == order.length) {
        shuffle();
      }
      next[i] = order[taken];
      taken++;
    }
    return next;
  }
}
