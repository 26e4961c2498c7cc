package dev.gptq.hub;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.LongSupplier;

/** Counts bytes of all threads of a transfer, and tells a listener the rate of the last seconds. */
final class Meter implements TransferListener {
  private static final long WINDOW = 10_000_000_000L;
  private static final long PERIOD = 200_000_000L;
  private static final long SAME = 1_000_000_000L;

  private record Sample(long time, long done) {}

  private final TransferListener listener;
  private final LongSupplier clock;
  private final long total;
  private final Deque<Sample> samples = new ArrayDeque<>();
  private long done;
  private String lastNote = "";
  private long lastNoteTime;

  Meter(TransferListener listener, LongSupplier clock, long total) {
    this.listener = listener;
    this.clock = clock;
    this.total = total;
  }

  /** Bytes that need no transfer, or, if negative, that need another. */
  synchronized void skip(long bytes) {
    done += bytes;
    samples.clear();
    samples.add(new Sample(clock.getAsLong(), done));
  }

  /** Bytes that came or went just now. */
  synchronized void add(long bytes) {
    done += bytes;
    long now = clock.getAsLong();
    if (samples.isEmpty()) {
      samples.add(new Sample(now, done - bytes));
    }
    if (now - samples.getLast().time() >= PERIOD || done == total) {
      samples.add(new Sample(now, done));
      while (now - samples.getFirst().time() > WINDOW && samples.size() > 2) {
        samples.removeFirst();
      }
      listener.progress(progress(now));
    }
  }

  private TransferProgress progress(long now) {
    Sample first = samples.getFirst();
    double seconds = Math.max(1, now - first.time()) / 1e9;
    double rate = (done - first.done()) / seconds;
    return new TransferProgress(done, total, rate, (total - done) / rate);
  }

  /** Once where several threads say the same at about the same time. */
  @Override
  public synchronized void note(String line) {
    long now = clock.getAsLong();
    if (!line.equals(lastNote) || now - lastNoteTime > SAME) {
      listener.note(line);
    }
    lastNote = line;
    lastNoteTime = now;
  }
}
