package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The delayed updates of {@link ColumnStrips} and {@link Descent}: {@code w_k ← fma(−e_j, U[j][k],
 * w_k)} for the four columns k of a panel and a run of j, in order of j; 2 vectors of rows, eight
 * chains of fused multiply-adds in registers.
 */
final class ColumnLoopKernel {
  /** Columns of a panel. */
  static final int COLUMNS = 4;

  private static final long L = Lanes.BYTES;

  private ColumnLoopKernel() {}

  /**
   * Updates four columns of a strip.
   *
   * @param w byte offset of the columns in the strip
   * @param e byte offset of {@code count} columns that hold −e
   * @param u U[j][k] at {@code panel + 4·j + k}, j counted from the first column of e
   */
  static void update(MemorySegment strip, long w, long e, int count, float[] u, int panel) {
    FloatVector s00 = Lanes.load(strip, w);
    FloatVector s01 = Lanes.load(strip, w + L);
    FloatVector s10 = Lanes.load(strip, w + 2 * L);
    FloatVector s11 = Lanes.load(strip, w + 3 * L);
    FloatVector s20 = Lanes.load(strip, w + 4 * L);
    FloatVector s21 = Lanes.load(strip, w + 5 * L);
    FloatVector s30 = Lanes.load(strip, w + 6 * L);
    FloatVector s31 = Lanes.load(strip, w + 7 * L);
    for (int j = 0; j < count; j++) {
      long ej = e + j * (2 * L);
      int uj = panel + j * COLUMNS;
      FloatVector e0 = Lanes.load(strip, ej);
      FloatVector e1 = Lanes.load(strip, ej + L);
      FloatVector u0 = FloatVector.broadcast(Lanes.F, u[uj]);
      s00 = e0.fma(u0, s00);
      s01 = e1.fma(u0, s01);
      FloatVector u1 = FloatVector.broadcast(Lanes.F, u[uj + 1]);
      s10 = e0.fma(u1, s10);
      s11 = e1.fma(u1, s11);
      FloatVector u2 = FloatVector.broadcast(Lanes.F, u[uj + 2]);
      s20 = e0.fma(u2, s20);
      s21 = e1.fma(u2, s21);
      FloatVector u3 = FloatVector.broadcast(Lanes.F, u[uj + 3]);
      s30 = e0.fma(u3, s30);
      s31 = e1.fma(u3, s31);
    }
    Lanes.store(s00, strip, w);
    Lanes.store(s01, strip, w + L);
    Lanes.store(s10, strip, w + 2 * L);
    Lanes.store(s11, strip, w + 3 * L);
    Lanes.store(s20, strip, w + 4 * L);
    Lanes.store(s21, strip, w + 5 * L);
    Lanes.store(s30, strip, w + 6 * L);
    Lanes.store(s31, strip, w + 7 * L);
  }
}
