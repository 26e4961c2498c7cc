package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** The delayed updates of {@link BeamRow}: {@code w_k ← fma(−e_j, U[j][k], w_k)}, in order of j. */
final class BeamKernel {
  /** Vectors of columns updated together: four chains hide half of the latency. */
  static final int VECTORS = 4;

  private static final long L = Lanes.BYTES;

  private BeamKernel() {}

  /**
   * Updates 4 vectors of weights by {@code count} errors.
   *
   * @param errors byte offset of the −e_j in the scratch
   * @param at byte offset of U[j][k] for the first j and k, {@code stride} bytes to the next j
   */
  static void update(
      MemorySegment scratch,
      long before,
      long after,
      long errors,
      int count,
      MemorySegment u,
      long at,
      long stride) {
    FloatVector w0 = Lanes.load(scratch, before);
    FloatVector w1 = Lanes.load(scratch, before + L);
    FloatVector w2 = Lanes.load(scratch, before + 2 * L);
    FloatVector w3 = Lanes.load(scratch, before + 3 * L);
    for (int j = 0; j < count; j++) {
      FloatVector e = Lanes.broadcast(scratch, errors + 4L * j);
      long row = at + j * stride;
      w0 = e.fma(Lanes.load(u, row), w0);
      w1 = e.fma(Lanes.load(u, row + L), w1);
      w2 = e.fma(Lanes.load(u, row + 2 * L), w2);
      w3 = e.fma(Lanes.load(u, row + 3 * L), w3);
    }
    Lanes.store(w0, scratch, after);
    Lanes.store(w1, scratch, after + L);
    Lanes.store(w2, scratch, after + 2 * L);
    Lanes.store(w3, scratch, after + 3 * L);
  }
}
