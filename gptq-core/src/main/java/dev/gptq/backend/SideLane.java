package dev.gptq.backend;

import com.google.common.util.concurrent.MoreExecutors;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.function.Function;

/**
 * A {@linkplain Backend#newCopyingLane copying lane} of a backend with a thread of its own, which
 * does one thing after the other beside the work of the backend. That of a {@link Rehearsal} counts
 * what is begun at once, on the caller's thread.
 */
public final class SideLane implements AutoCloseable {
  private final Backend backend;

  /** None for a rehearsal. */
  private final Optional<OwnThread> own;

  /** Begins to open a lane; what goes wrong is thrown by the first work. */
  public SideLane(String name, Backend backend) {
    this.backend = backend;
    this.own =
        backend instanceof Rehearsal
            ? Optional.empty()
            : Optional.of(OwnThread.open(name, backend::newCopyingLane));
  }

  /**
   * Begins some work, behind what began before. Once the future is done nothing of it is queued any
   * more.
   */
  public <T> CompletableFuture<T> start(Function<Backend, T> work) {
    return CompletableFuture.supplyAsync(
        () -> {
          Backend lane = own.map(OwnThread::backend).map(OwnThread::result).orElse(backend);
          try (Holdings after = new Holdings()) {
            after.add(lane::synchronize);
            return work.apply(lane);
          }
        },
        own.<Executor>map(OwnThread::thread).orElseGet(MoreExecutors::directExecutor));
  }

  /** Does some work, and waits until it is done. */
  public <T> T run(Function<Backend, T> work) {
    return result(start(work));
  }

  /** Waits for what {@link #start} has begun, and throws what was thrown in its place. */
  public static <T> T result(Future<T> begun) {
    return OwnThread.result(begun);
  }

  /** Closes the lane, behind what began before. */
  @Override
  public void close() {
    own.ifPresent(OwnThread::close);
  }
}
