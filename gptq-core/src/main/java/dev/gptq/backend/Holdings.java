package dev.gptq.backend;

import com.google.common.base.Throwables;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * What has to be given back, the last that was taken first. A step that fails keeps none of the
 * others from being done: a device that has failed still has to be let go.
 */
public final class Holdings implements AutoCloseable {
  private final Deque<Runnable> steps = new ArrayDeque<>();

  /** Something that is given back by a step. */
  public <T> T add(T held, Consumer<? super T> giveBack) {
    steps.push(() -> giveBack.accept(held));
    return held;
  }

  /** A step that gives something back. */
  public void add(Runnable giveBack) {
    steps.push(giveBack);
  }

  /**
   * What {@code opening} returns, which answers from then on for all that it has added. If it
   * throws, that is given back.
   */
  public static <T> T allOrNothing(Function<Holdings, T> opening) {
    Holdings taken = new Holdings();
    try {
      return opening.apply(taken);
    } catch (RuntimeException | Error e) {
      try {
        taken.close();
      } catch (RuntimeException | Error failure) {
        e.addSuppressed(failure);
      }
      throw e;
    }
  }

  /** Gives everything back, then throws the first failure with the others suppressed. */
  @Override
  public void close() {
    Throwable first = null;
    while (!steps.isEmpty()) {
      try {
        steps.pop().run();
      } catch (RuntimeException | Error e) {
        if (first == null) {
          first = e;
        } else {
          first.addSuppressed(e);
        }
      }
    }
    if (first != null) {
      Throwables.throwIfUnchecked(first);
    }
  }
}
