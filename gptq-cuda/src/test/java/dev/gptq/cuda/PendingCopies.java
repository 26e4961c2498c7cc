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
  /** What a byte holds that has not come yet: of floats, NaN. */
  private static final byte ABSENT = (byte) 0xff;

  /** A copy in order of its stream. */
  private static final class Copy {
    private final long stream;
    private final long number;
    private final MemorySegment host;
    private final MemorySegment device;
    private final MemorySegment bytes;
    private final boolean toHost;
    private boolean arrived;

    Copy(long stream, long number, MemorySegment host, MemorySegment device, boolean toHost) {
      this.stream = stream;
      this.number = number;
      this.host = host;
      this.device = device;
      this.toHost = toHost;
      this.bytes = copy(toHost ? device : host);
      (toHost ? host : device).fill(ABSENT);
    }

    void arrive() {
      if (!arrived) {
        (toHost ? host : device).copyFrom(bytes);
        arrived = true;
      }
    }

    void end() {
      arrive();
      if (!toHost && host.mismatch(bytes) >= 0) {
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
    pending.add(new Copy(stream, ++queued, host, device, true));
  }

  /** A copy from the host, which the device does not have before {@link #arrive}. */
  void toDevice(long stream, MemorySegment host, MemorySegment device) {
    pending.add(new Copy(stream, ++queued, host, device, false));
  }

  /** What a stream copies to the device is there for what is queued in the same stream. */
  void arrive(long stream) {
    pending.stream().filter(copy -> copy.stream == stream && !copy.toHost).forEach(Copy::arrive);
  }

  /** Device memory is given back, to which nothing may be on its way. */
  void release(MemorySegment memory) {
    for (Copy copy : pending) {
      if (!copy.toHost && !copy.arrived && memory.asOverlappingSlice(copy.device).isPresent()) {
        throw new AssertionError("memory is freed to which another stream copies");
      }
    }
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
        pending.stream().filter(copy -> copy.stream == stream && copy.number <= last).toList();
    pending.removeAll(ended);
    ended.forEach(Copy::end);
  }
}
