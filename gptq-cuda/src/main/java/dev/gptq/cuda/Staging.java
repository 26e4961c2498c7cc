package dev.gptq.cuda;

import dev.gptq.backend.Holdings;
import dev.gptq.cuda.driver.CudaDriver;
import java.lang.foreign.MemorySegment;

/**
 * Page-locked memory through which all transfers pass: the only memory the GPU copies from without
 * waiting. Uploads fill a ring of buffers, so that the next piece is read from its file while the
 * last one is on its way; a buffer is used again once the copies out of it have been done.
 */
class Staging {
  private static final int BUFFERS = 4;

  /** Bytes of a buffer: whole models pass through it. */
  static final long BUFFER_BYTES = 16L << 20;

  /** Bytes of a buffer of a lane, through which the results of small solves pass. */
  static final long LANE_BUFFER_BYTES = 2L << 20;

  /** Bytes that come to the host with one wait, as rows of numbers do that decide what is next. */
  private static final long SMALL_BYTES = 64 << 10;

  private static final long ALIGNMENT = 16;

  private final CudaQueue queue;
  private final long bufferBytes;
  private final MemorySegment[] buffers = new MemorySegment[BUFFERS];
  private final long[] done = new long[BUFFERS];
  private final Holdings holdings;
  private MemorySegment small;
  private int current;
  private long used;

  Staging(CudaQueue queue, long bufferBytes) {
    this.queue = queue;
    this.bufferBytes = bufferBytes;
    CudaDriver driver = queue.driver();
    this.holdings =
        Holdings.allOrNothing(taken -> {
          small = taken.add(driver.allocateHost(SMALL_BYTES), driver::freeHost);
          for (int i = 0; i < BUFFERS; i++) {
            buffers[i] = taken.add(driver.allocateHost(bufferBytes), driver::freeHost);
            done[i] = taken.add(driver.createEvent(), driver::destroyEvent);
          }
          return taken;
        });
  }

  /** Whether anybody will read what is uploaded. */
  boolean takesData() {
    return true;
  }

  /** Queues the copy of {@code bytes} to the device. {@code host} may change afterwards. */
  void upload(MemorySegment host, long device, long bytes) {
    CudaDriver driver = queue.driver();
    for (long from = 0; from < bytes; ) {
      if (used == bufferBytes) {
        advance();
      }
      long count = Math.min(bytes - from, bufferBytes - used);
      MemorySegment piece = buffers[current].asSlice(used, count);
      HostCopy.copy(host.asSlice(from, count), piece);
      driver.copyToDevice(device + from, piece, count, queue.stream());
      used = Math.min(bufferBytes, Math.ceilDiv(used + count, ALIGNMENT) * ALIGNMENT);
      from += count;
    }
  }

  private void advance() {
    queue.driver().record(done[current], queue.stream());
    current = (current + 1) % BUFFERS;
    queue.driver().awaitEvent(done[current]);
    used = 0;
  }

  /** Queues the copy of a piece of what is downloaded, which begins at byte {@code from} of it. */
  @FunctionalInterface
  private interface Transfer {
    void queue(MemorySegment buffer, long from, long bytes);
  }

  /** Copies a tensor densely to the host, in its own layout. Waits for all queued work. */
  void download(CudaTensor tensor, MemorySegment host) {
    int runs = tensor.isRowMajor() ? tensor.rows() : tensor.columns();
    int length = tensor.isRowMajor() ? tensor.columns() : tensor.rows();
    int bytes = tensor.type().bytes();
    if (tensor.isEmpty()) {
      queue.synchronize();
    } else if (tensor.stride() == length || runs == 1) {
      download(tensor.address(), tensor.byteSize(), tensor.byteSize(), 1, host);
    } else {
      download(tensor.address(), tensor.stride() * bytes, (long) length * bytes, runs, host);
    }
  }

  /**
   * Copies {@code runs} runs of {@code bytes}, {@code pitch} bytes apart on the device, densely to
   * the host. Waits for all queued work.
   */
  void download(long device, long pitch, long bytes, long runs, MemorySegment host) {
    CudaDriver driver = queue.driver();
    long stream = queue.stream();
    long all = bytes * runs;
    if (all > 0 && all <= SMALL_BYTES) {
      driver.copyToHost(small, device, pitch, bytes, runs, stream);
      await();
      MemorySegment.copy(small, 0, host, 0, all);
      return;
    }
    await();
    if (all == 0) {
      return;
    }
    if (bytes <= bufferBytes) {
      download(
          bytes * runs,
          bufferBytes / bytes * bytes,
          (buffer, from, count) ->
              driver.copyToHost(
                  buffer, device + from / bytes * pitch, pitch, bytes, count / bytes, stream),
          host);
      return;
    }
    for (long run = 0; run < runs; run++) {
      long start = device + run * pitch;
      download(
          bytes,
          bufferBytes,
          (buffer, from, count) -> driver.copyToHost(buffer, start + from, count, count, 1, stream),
          host.asSlice(run * bytes, bytes));
    }
  }

  /** Waits for all queued work, after which all buffers are free. */
  private void await() {
    queue.synchronize();
    current = 0;
    used = 0;
  }

  /** Brings each piece while the piece before it is copied to its place. */
  private void download(long bytes, long pieceBytes, Transfer transfer, MemorySegment host) {
    int pieces = Math.toIntExact(Math.ceilDiv(bytes, pieceBytes));
    for (int piece = 0; piece <= pieces; piece++) {
      if (piece < pieces) {
        long from = piece * pieceBytes;
        transfer.queue(buffers[piece % BUFFERS], from, Math.min(pieceBytes, bytes - from));
        queue.driver().record(done[piece % BUFFERS], queue.stream());
      }
      if (piece > 0) {
        long from = (piece - 1) * pieceBytes;
        long count = Math.min(pieceBytes, bytes - from);
        queue.driver().awaitEvent(done[(piece - 1) % BUFFERS]);
        HostCopy.copy(buffers[(piece - 1) % BUFFERS].asSlice(0, count), host.asSlice(from));
      }
    }
    queue.synchronize();
  }

  void close() {
    holdings.close();
  }
}
