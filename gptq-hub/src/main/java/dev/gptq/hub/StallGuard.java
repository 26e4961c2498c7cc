package dev.gptq.hub;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Ends reads of bodies that stand still; the client's own timeout ends with the headers. */
final class StallGuard implements AutoCloseable {
  private static final int CHECKS = 4;

  private final long limit;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("gptq-hub-stalls").factory());

  StallGuard(Duration limit) {
    this.limit = limit.toNanos();
  }

  /** A body that fails when nothing comes for too long. */
  Watched watch(InputStream body) {
    return new Watched(body);
  }

  /** A body under guard. */
  final class Watched implements AutoCloseable {
    private final InputStream body;
    private final Future<?> check;
    private volatile long last = System.nanoTime();
    private volatile boolean stalled;

    private Watched(InputStream body) {
      this.body = body;
      this.check =
          clock.scheduleWithFixedDelay(
              this::check, limit / CHECKS, limit / CHECKS, TimeUnit.NANOSECONDS);
    }

    private void check() {
      if (System.nanoTime() - last > limit && !stalled) {
        stalled = true;
        try {
          body.close();
        } catch (IOException e) {
          // The reader, whom this wakes up, reports what happened to the body.
          last = System.nanoTime();
        }
      }
    }

    /** The next bytes, or -1 at the end. */
    int read(byte[] buffer) throws IOException {
      int n;
      try {
        n = body.read(buffer);
      } catch (IOException e) {
        throw stalled ? standsStill() : e;
      }
      if (stalled) {
        throw standsStill();
      }
      last = System.nanoTime();
      return n;
    }

    private HttpTimeoutException standsStill() {
      return new HttpTimeoutException("nothing came for " + Duration.ofNanos(limit));
    }

    @Override
    public void close() throws IOException {
      check.cancel(false);
      body.close();
    }
  }

  @Override
  public void close() {
    clock.shutdownNow();
  }
}
