package dev.gptq.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Copies between host and device that run beside the caller. What comes to the host is not there
 * before somebody waits for it; what leaves the host must not change until then.
 */
final class PendingCopies {
  /** What a byte of the host holds that has not come yet. */
  private static final byte ABSENT = (byte) 0xfe;

  /** A copy in order of its stream. */
  private record Copy(
      long stream, long number, MemorySegment host, MemorySegment bytes, boolean arrives) {
    void end() {
      if (arrives) {
        host.copyFrom(bytes);
      } else if (host.mismatch(bytes) >= 0) {
        throw new AssertionError("host memory was changed before it was copied to the device");
      }
    }
  }

  /** What had been queued when an event was recorded. */
  private record Mark(long stream, long number) {}

  private final List<Copy> pending = new ArrayList<>();
  private final Map<Long, Mark> marks = new HashMap<>();
  private long queued;

  /** A copy of these bytes, which the device has now, to the host. */
  void toHost(long stream, MemorySegment host, MemorySegment device) {
    MemorySegment bytes = copy(device);
    host.fill(ABSENT);
    pending.add(new Copy(stream, ++queued, host, bytes, true));
  }

  /** A copy from the host that the device has already. */
  void toDevice(long stream, MemorySegment host) {
    pending.add(new Copy(stream, ++queued, host, copy(host), false));
  }

  private static MemorySegment copy(MemorySegment segment) {
    return MemorySegment.ofArray(segment.toArray(ValueLayout.JAVA_BYTE));
  }

  void record(long event, long stream) {
    marks.put(event, new Mark(stream, queued));
  }

  /** Ends what was queued before the event was recorded. */
  void awaitEvent(long event) {
    Mark mark = marks.get(event);
    if (mark != null) {
      end(mark.stream(), mark.number());
    }
  }

  /** Ends all of a stream. */
  void await(long stream) {
    end(stream, queued);
  }

  private void end(long stream, long last) {
    List<Copy> ended =
        pending.stream().filter(copy -> copy.stream() == stream && copy.number() <= last).toList();
    pending.removeAll(ended);
    ended.forEach(Copy::end);
  }
}
