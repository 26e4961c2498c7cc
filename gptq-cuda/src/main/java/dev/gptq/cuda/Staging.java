package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaDriver;
import java.lang.foreign.MemorySegment;

/**
 * Page-locked memory through which all transfers pass: the only memory the GPU copies from without
 * waiting. Uploads fill a ring of buffers, so that the next piece is read from its file while the
 * last one is on its way; a buffer is used again once the copies out of it have been done.
 */
final class Staging {
  private static final int BUFFERS = 4;
  private static final long BUFFER_BYTES = 16L << 20;
  private static final long ALIGNMENT = 16;

  private final CudaQueue queue;
  private final MemorySegment[] buffers = new MemorySegment[BUFFERS];
  private final long[] done = new long[BUFFERS];
  private int current;
  private long used;

  Staging(CudaQueue queue) {
    this.queue = queue;
    for (int i = 0; i < BUFFERS; i++) {
      buffers[i] = queue.driver().allocateHost(BUFFER_BYTES);
      done[i] = queue.driver().createEvent();
    }
  }

  /** Queues the copy of {@code bytes} to the device. {@code host} may change afterwards. */
  void upload(MemorySegment host, long device, long bytes) {
    CudaDriver driver = queue.driver();
    for (long from = 0; from < bytes; ) {
      if (used == BUFFER_BYTES) {
        advance();
      }
      long count = Math.min(bytes - from, BUFFER_BYTES - used);
      MemorySegment piece = buffers[current].asSlice(used, count);
      HostCopy.copy(host.asSlice(from, count), piece);
      driver.copyToDevice(device + from, piece, count, queue.stream());
      used = Math.min(BUFFER_BYTES, Math.ceilDiv(used + count, ALIGNMENT) * ALIGNMENT);
      from += count;
    }
  }

  private void advance() {
    queue.driver().record(done[current], queue.stream());
    current = (current + 1) % BUFFERS;
    queue.driver().awaitEvent(done[current]);
    used = 0;
  }

  /**
   * Copies {@code runs} runs of {@code bytes}, {@code pitch} bytes apart on the device, densely to
   * the host. Waits for all queued work.
   */
  void download(long device, long pitch, long bytes, long runs, MemorySegment host) {
    queue.synchronize();
    current = 0;
    used = 0;
    if (bytes > BUFFER_BYTES) {
      for (long run = 0; run < runs; run++) {
        downloadRun(device + run * pitch, bytes, host.asSlice(run * bytes, bytes));
      }
      return;
    }
    long runsAtOnce = bytes == 0 ? runs : BUFFER_BYTES / bytes;
    for (long run = 0; run < runs; run += runsAtOnce) {
      long count = Math.min(runsAtOnce, runs - run);
      queue
          .driver()
          .copyToHost(buffers[0], device + run * pitch, pitch, bytes, count, queue.stream());
      queue.synchronize();
      HostCopy.copy(buffers[0].asSlice(0, count * bytes), host.asSlice(run * bytes));
    }
  }

  /** Brings one piece while the piece before it is copied to its place. */
  private void downloadRun(long device, long bytes, MemorySegment host) {
    int pieces = Math.toIntExact(Math.ceilDiv(bytes, BUFFER_BYTES));
    for (int piece = 0; piece <= pieces; piece++) {
      if (piece < pieces) {
        long from = piece * BUFFER_BYTES;
        long count = Math.min(BUFFER_BYTES, bytes - from);
        MemorySegment buffer = buffers[piece % BUFFERS];
        queue.driver().copyToHost(buffer, device + from, count, count, 1, queue.stream());
        queue.driver().record(done[piece % BUFFERS], queue.stream());
      }
      if (piece > 0) {
        long from = (piece - 1) * BUFFER_BYTES;
        long count = Math.min(BUFFER_BYTES, bytes - from);
        queue.driver().awaitEvent(done[(piece - 1) % BUFFERS]);
        HostCopy.copy(buffers[(piece - 1) % BUFFERS].asSlice(0, count), host.asSlice(from));
      }
    }
    queue.synchronize();
  }

  void close() {
    for (int i = 0; i < BUFFERS; i++) {
      queue.driver().destroyEvent(done[i]);
      queue.driver().freeHost(buffers[i]);
    }
  }
}
