package dev.gptq.quantizer.store;

import com.google.common.io.Closer;
import java.io.IOException;
import java.nio.file.Path;

/** The {@link OutputLock}s of all folders that a process writes. */
public final class OutputLocks implements AutoCloseable {
  private final Closer locks = Closer.create();

  private OutputLocks() {}

  /**
   * Takes all locks or none. Throws {@link dev.gptq.formats.BadInputException} with the holder if
   * another has one of them.
   */
  public static OutputLocks acquire(Iterable<Path> outputs) throws IOException {
    OutputLocks all = new OutputLocks();
    boolean complete = false;
    try {
      for (Path output : outputs) {
        OutputLock lock = OutputLock.acquire(output);
        all.locks.register(lock::close);
      }
      complete = true;
      return all;
    } finally {
      if (!complete) {
        all.close();
      }
    }
  }

  @Override
  public void close() throws IOException {
    locks.close();
  }
}
