package dev.gptq.cuda;

import dev.gptq.backend.Rehearsal;
import java.lang.foreign.MemorySegment;

/** The way in and out of a device in a rehearsal: nothing goes in, meaningless numbers come out. */
final class IdleStaging extends Staging {
  private static final long SMALLEST = 64;

  IdleStaging(CudaQueue queue) {
    super(queue, SMALLEST);
  }

  @Override
  boolean takesData() {
    return false;
  }

  @Override
  void upload(MemorySegment host, long device, long bytes) {
    // Nobody will read it.
  }

  @Override
  void download(CudaTensor tensor, MemorySegment host) {
    Rehearsal.fill(tensor, host);
  }

  @Override
  void download(long device, long pitch, long bytes, long runs, MemorySegment host) {
    host.asSlice(0, bytes * runs).fill((byte) 0);
  }
}
