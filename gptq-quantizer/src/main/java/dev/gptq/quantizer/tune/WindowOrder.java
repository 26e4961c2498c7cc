package dev.gptq.quantizer.tune;

import java.util.Random;

/** Windows in an order that is shuffled anew, with a fixed seed, each time all have been taken. */
final class WindowOrder {
  private static final long SEED = 20_261_129L;

  private final Random random = new Random(SEED);
  private final int[] order;
  private int taken;

  WindowOrder(int windows) {
    this.order = new int[windows];
    for (int i = 0; i < windows; i++) {
      order[i] = i;
    }
    shuffle();
  }

  private void shuffle() {
    for (int i = order.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int other = order[j];
      order[j] = order[i];
      order[i] = other;
    }
    taken = 0;
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
