package dev.gptq.backend;

/** Work of a backend that can be queued again as a whole; see {@link Backend#record}. */
public interface Recording extends AutoCloseable {

  /** Queues the work once more, with whatever its tensors hold then. */
  void replay();

  /** Forgets the work, of which no replay is under way. */
  @Override
  void close();
}
