package dev.gptq.backend;

/** Bytes of tensors in use, and the most that were. Threads may share it. */
public final class Footprint {
  private long live;
  private long peak;

  /** Counts bytes that were taken, or with a negative number given back. */
  public synchronized void add(long bytes) {
    live += bytes;
    peak = Math.max(peak, live);
  }

  /** Bytes in use. */
  public synchronized long live() {
    return live;
  }

  /** The most bytes that were in use. */
  public synchronized long peak() {
    return peak;
  }

  /** Runs work of this thread alone, and returns how many bytes it took beside those in use. */
  long above(Runnable work) {
    long before = restart();
    long base = live();
    work.run();
    long above = peak() - base;
    reach(before);
    return above;
  }

  /** Counts bytes that would have been in use. */
  synchronized void reach(long bytes) {
    peak = Math.max(peak, bytes);
  }

  private synchronized long restart() {
    long before = peak;
    peak = live;
    return before;
  }
}
