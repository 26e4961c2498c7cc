package dev.gptq.cuda;

import java.util.function.Consumer;
import java.util.function.Supplier;

/** Something that is opened when it is first needed. Threads may share it. */
final class Late<T> {
  private final Supplier<T> opening;
  private final Consumer<T> closing;
  private T opened;
  private boolean closed;

  Late(Supplier<T> opening, Consumer<T> closing) {
    this.opening = opening;
    this.closing = closing;
  }

  synchronized T get() {
    if (closed) {
      throw new IllegalStateException("closed");
    }
    if (opened == null) {
      opened = opening.get();
    }
    return opened;
  }

  /** Closes what was opened; nothing is opened any more. */
  synchronized void close() {
    closed = true;
    if (opened != null) {
      T last = opened;
      opened = null;
      closing.accept(last);
    }
  }
}
