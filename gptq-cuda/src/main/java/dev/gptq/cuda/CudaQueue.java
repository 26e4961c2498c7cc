package dev.gptq.cuda;

import dev.gptq.backend.Recording;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaException;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * The stream in which all work of a backend runs in order. Remembers the names of the operations
 * that were queued since the last wait: a device reports a failure only then, and does not say
 * whose it was. The setting {@value #SYNCHRONOUS} waits after each operation, to know exactly.
 */
final class CudaQueue {
  static final String SYNCHRONOUS = "cuda.synchronous";

  private final CudaDriver driver;
  private final long stream;
  private final boolean synchronous;
  private final Set<String> queued = new LinkedHashSet<>();

  CudaQueue(CudaDriver driver, boolean synchronous) {
    this.driver = driver;
    this.stream = driver.createStream();
    this.synchronous = synchronous;
  }

  /** Another stream of the same context. */
  CudaQueue another() {
    return new CudaQueue(driver, synchronous);
  }

  CudaDriver driver() {
    return driver;
  }

  long stream() {
    return stream;
  }

  /** Notes that work of an operation has been queued. */
  void queued(String operation) {
    queued.add(operation);
    if (synchronous) {
      synchronize();
    }
  }

  /** Notes work in place of running it. */
  Recording record(Runnable work) {
    driver.beginRecording(stream);
    try {
      work.run();
    } catch (RuntimeException e) {
      driver.destroyRecording(driver.endRecording(stream));
      throw e;
    }
    long recording = driver.endRecording(stream);
    return new Recording() {
      @Override
      public void replay() {
        driver.replay(recording, stream);
        queued("recording");
      }

      @Override
      public void close() {
        driver.destroyRecording(recording);
      }
    };
  }

  /** Waits for all work; a failure of it is thrown here. */
  void synchronize() {
    try {
      driver.synchronize(stream);
    } catch (CudaException e) {
      throw new CudaException(
          "the GPU failed in one of these operations: "
              + String.join(", ", queued)
              + (synchronous ? "" : " (set " + SYNCHRONOUS + "=true to know which)"),
          e);
    }
    queued.clear();
  }

  void close() {
    driver.destroyStream(stream);
  }
}
