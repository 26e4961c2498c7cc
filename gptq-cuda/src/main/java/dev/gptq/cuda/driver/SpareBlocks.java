package dev.gptq.cuda.driver;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Small blocks of device memory that a stream gave back and has not yet taken again. The pool's
 * calls, two for each block, wait for those of other threads; threads that queue many small
 * operations side by side spend more time in them than in launches.
 *
 * <p>A block goes to the stream that gave it back and to no other, so that it is used again behind
 * whatever was queued before, as the pool would have it. While a stream is recorded nothing is
 * kept: a graph has memory of its own.
 */
final class SpareBlocks {
  /** Bytes that are kept for a stream of a small device, and of a large one. */
  private static final long LEAST = 64L << 20;

  private static final long MOST = 256L << 20;

  /** A stream keeps this part of its device's memory, and blocks of an eighth of that. */
  private static final long PART = 512;

  private static final long BLOCKS = 8;

  private static final long UNIT = 512;

  /** Where blocks come from. */
  interface Pool {
    /** A block, in the order of the stream; 0 if there is no room. */
    long allocate(long bytes, long stream);

    /** Gives a block back, in the order of the stream. */
    void free(long address, long stream);
  }

  /** The blocks of one stream, which threads other than its own may ask to be given back. */
  private static final class OfStream {
    private final int device;

    /** Bytes that are kept. */
    private final long most;

    /** Sizes of blocks that are in use and may be kept. */
    private final Map<Long, Long> taken = new HashMap<>();

    /** Addresses by size; the sizes that were used last come last. */
    private final Map<Long, Deque<Long>> spare = new LinkedHashMap<>(16, 0.75f, true);

    private long spareBytes;
    private boolean recorded;

    OfStream(int device, long most) {
      this.device = device;
      this.most = most;
    }

    /** Bytes of the largest block that is kept. */
    long largest() {
      return most / BLOCKS;
    }
  }

  private final Pool pool;
  private final Map<Long, OfStream> streams = new ConcurrentHashMap<>();

  SpareBlocks(Pool pool) {
    this.pool = pool;
  }

  /**
   * Begins to keep blocks of a stream.
   *
   * @param memory bytes that the device has
   */
  void begin(long stream, int device, long memory) {
    streams.put(stream, new OfStream(device, Math.clamp(memory / PART, LEAST, MOST)));
  }

  /** Gives the blocks of a stream back that are kept, and keeps no others. */
  void end(long stream) {
    giveBack(streams.get(stream), stream);
    streams.remove(stream);
  }

  /** Says whether what is queued in a stream is noted from now on, and not run. */
  void record(long stream, boolean recorded) {
    OfStream own = streams.get(stream);
    synchronized (own) {
      own.recorded = recorded;
    }
  }

  /** A block of at least {@code bytes}, in the order of the stream; 0 if there is no room. */
  long allocate(long bytes, long stream) {
    OfStream own = streams.get(stream);
    synchronized (own) {
      if (own.recorded || bytes > own.largest()) {
        long address = pool.allocate(bytes, stream);
        // Another stream may have given back a block of this one at the same place.
        own.taken.remove(address);
        return address;
      }
      long size = size(bytes);
      Deque<Long> alike = own.spare.get(size);
      long address;
      if (alike == null || alike.isEmpty()) {
        address = pool.allocate(size, stream);
      } else {
        address = alike.pop();
        own.spareBytes -= size;
      }
      if (address != 0) {
        own.taken.put(address, size);
      }
      return address;
    }
  }

  /** Gives a block of {@link #allocate} back, in the order of the stream. */
  void free(long address, long stream) {
    OfStream own = streams.get(stream);
    synchronized (own) {
      Long size = own.taken.remove(address);
      if (size == null || own.recorded) {
        pool.free(address, stream);
        return;
      }
      own.spare.computeIfAbsent(size, known -> new ArrayDeque<>()).push(address);
      own.spareBytes += size;
      if (own.spareBytes > own.most) {
        giveBack(own, stream, own.most / 2);
      }
    }
  }

  /** Gives all blocks of a device back that are kept. */
  void giveBack(int device) {
    streams.forEach((stream, own) -> {
      if (own.device == device) {
        giveBack(own, stream);
      }
    });
  }

  private void giveBack(OfStream own, long stream) {
    synchronized (own) {
      giveBack(own, stream, 0);
    }
  }

  /** Gives blocks back until no more than {@code most} bytes are kept, old sizes first. */
  private void giveBack(OfStream own, long stream, long most) {
    Iterator<Map.Entry<Long, Deque<Long>>> sizes = own.spare.entrySet().iterator();
    while (own.spareBytes > most) {
      Map.Entry<Long, Deque<Long>> oldest = sizes.next();
      Deque<Long> alike = oldest.getValue();
      while (own.spareBytes > most && !alike.isEmpty()) {
        pool.free(alike.pop(), stream);
        own.spareBytes -= oldest.getKey();
      }
      if (alike.isEmpty()) {
        sizes.remove();
      }
    }
  }

  /** Blocks that are kept come in few sizes, eight for each power of two. */
  private static long size(long bytes) {
    long unit = Math.max(UNIT, Long.highestOneBit(bytes) / 8);
    return Math.ceilDiv(bytes, unit) * unit;
  }
}
