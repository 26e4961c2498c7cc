package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * One row of activations of 8 bits times one tile of 4-bit weights, in sums of 16 bits:
 *
 * <pre>
 *   y[o] = Σ_chunks s·a·Σ_i q_i·(u_i − 8) + Σ_g s·(8 − z)·Σ_i a·q_i
 * </pre>
 *
 * with s the group's scale and a that of the chunk's activations. No product is larger than {@code
 * 127·8}, so that the 32 of a chunk fit 16 bits, and nothing else has to: the arithmetic is modulo
 * 2^16 until then. That is what makes it cheap: 11 operations for 8 weights a lane of 32 bits, with
 * no masks ({@link RoundedInput}).
 *
 * <p>Vector operations are called directly, see {@link DecodeSums}.
 */
final class RoundedKernel {
  private static final int W = Lanes.COUNT;
  private static final long L = Lanes.BYTES;
  private static final long ROW = 4 * L;

  private RoundedKernel() {}

  /**
   * Writes the OUTPUTS products of a tile to the start of {@code y}.
   *
   * @param factors of the activations ({@link RoundedInput})
   * @param activationScales of the chunks, then the groups' sums
   */
  static void tile(PackedTiles w, int tile, int[] factors, float[] activationScales, float[] y) {
    MemorySegment scales = w.scales().asSlice(w.scaleAt(tile, 0), ROW * w.groups());
    products(w.words(), w.wordAt(tile, 0), w.groupOfChunk(), factors, activationScales, scales, y);
    if (w.zeros().isPresent()) {
      MemorySegment zeros = w.zeros().get().asSlice(w.scaleAt(tile, 0), ROW * w.groups());
      shift(w, activationScales, scales, zeros, y);
    } else if (w.fixedZero() != 8) {
      shift(w, activationScales, scales, y);
    }
  }

  private static void products(
      MemorySegment words,
      long at,
      int[] groups,
      int[] x,
      float[] xs,
      MemorySegment scales,
      float[] y) {
    // Not Lanes.requireNative: asked here, it tells the compiler the class of these very segments,
    // where that method has also seen mapped files. Without it slices are allocated.
    if (!words.isNative() || !scales.isNative()) {
      throw new IllegalArgumentException("kernels need native memory");
    }
    FloatVector y0 = FloatVector.zero(Lanes.F);
    FloatVector y1 = y0;
    FloatVector y2 = y0;
    FloatVector y3 = y0;
    for (int chunk = 0; chunk < groups.length; chunk++) {
      // Offsets within a slice are checked once for all. Slicing is not among the methods that are
      // always inlined, so it comes first.
      long first = at + chunk * (PackedTiles.CHUNK * ROW);
      MemorySegment slice = words.asSlice(first, PackedTiles.CHUNK * ROW);
      MemorySegment scale = scales.asSlice(groups[chunk] * ROW, ROW);
      int xi = chunk * RoundedInput.FACTORS;
      ShortVector s0 = IntVector.broadcast(Lanes.I, x[xi]).reinterpretAsShorts();
      ShortVector s1 = s0;
      ShortVector s2 = s0;
      ShortVector s3 = s0;
      for (int row = 0; row < PackedTiles.CHUNK; row++) {
        int xr = xi + 1 + 4 * row;
        long r = row * ROW;
        IntVector w0 = IntVector.fromMemorySegment(Lanes.I, slice, r, Lanes.ORDER);
        IntVector w1 = IntVector.fromMemorySegment(Lanes.I, slice, r + L, Lanes.ORDER);
        IntVector w2 = IntVector.fromMemorySegment(Lanes.I, slice, r + 2 * L, Lanes.ORDER);
        IntVector w3 = IntVector.fromMemorySegment(Lanes.I, slice, r + 3 * L, Lanes.ORDER);
        ShortVector x0 = IntVector.broadcast(Lanes.I, x[xr]).reinterpretAsShorts();
        s0 = s0.add(w0.reinterpretAsShorts().mul(x0));
        s1 = s1.add(w1.reinterpretAsShorts().mul(x0));
        s2 = s2.add(w2.reinterpretAsShorts().mul(x0));
        s3 = s3.add(w3.reinterpretAsShorts().mul(x0));
        ShortVector x1 = IntVector.broadcast(Lanes.I, x[xr + 1]).reinterpretAsShorts();
        s0 = s0.add(w0.lanewise(VectorOperators.LSHR, 4).reinterpretAsShorts().mul(x1));
        s1 = s1.add(w1.lanewise(VectorOperators.LSHR, 4).reinterpretAsShorts().mul(x1));
        s2 = s2.add(w2.lanewise(VectorOperators.LSHR, 4).reinterpretAsShorts().mul(x1));
        s3 = s3.add(w3.lanewise(VectorOperators.LSHR, 4).reinterpretAsShorts().mul(x1));
        ShortVector x2 = IntVector.broadcast(Lanes.I, x[xr + 2]).reinterpretAsShorts();
        s0 = s0.add(w0.lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts().mul(x2));
        s1 = s1.add(w1.lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts().mul(x2));
        s2 = s2.add(w2.lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts().mul(x2));
        s3 = s3.add(w3.lanewise(VectorOperators.LSHR, 8).reinterpretAsShorts().mul(x2));
        ShortVector x3 = IntVector.broadcast(Lanes.I, x[xr + 3]).reinterpretAsShorts();
        s0 = s0.add(w0.lanewise(VectorOperators.LSHR, 12).reinterpretAsShorts().mul(x3));
        s1 = s1.add(w1.lanewise(VectorOperators.LSHR, 12).reinterpretAsShorts().mul(x3));
        s2 = s2.add(w2.lanewise(VectorOperators.LSHR, 12).reinterpretAsShorts().mul(x3));
        s3 = s3.add(w3.lanewise(VectorOperators.LSHR, 12).reinterpretAsShorts().mul(x3));
      }
      // The halves of each lane belong to the same output: their sum ends up in the upper one.
      IntVector i0 = s0.reinterpretAsInts();
      IntVector i1 = s1.reinterpretAsInts();
      IntVector i2 = s2.reinterpretAsInts();
      IntVector i3 = s3.reinterpretAsInts();
      i0 = i0.add(i0.lanewise(VectorOperators.LSHL, 16)).lanewise(VectorOperators.ASHR, 16);
      i1 = i1.add(i1.lanewise(VectorOperators.LSHL, 16)).lanewise(VectorOperators.ASHR, 16);
      i2 = i2.add(i2.lanewise(VectorOperators.LSHL, 16)).lanewise(VectorOperators.ASHR, 16);
      i3 = i3.add(i3.lanewise(VectorOperators.LSHL, 16)).lanewise(VectorOperators.ASHR, 16);
      FloatVector a = FloatVector.broadcast(Lanes.F, xs[chunk]);
      FloatVector f0 = FloatVector.fromMemorySegment(Lanes.F, scale, 0, Lanes.ORDER).mul(a);
      FloatVector f1 = FloatVector.fromMemorySegment(Lanes.F, scale, L, Lanes.ORDER).mul(a);
      FloatVector f2 = FloatVector.fromMemorySegment(Lanes.F, scale, 2 * L, Lanes.ORDER).mul(a);
      FloatVector f3 = FloatVector.fromMemorySegment(Lanes.F, scale, 3 * L, Lanes.ORDER).mul(a);
      y0 = ((FloatVector) i0.convert(VectorOperators.I2F, 0)).fma(f0, y0);
      y1 = ((FloatVector) i1.convert(VectorOperators.I2F, 0)).fma(f1, y1);
      y2 = ((FloatVector) i2.convert(VectorOperators.I2F, 0)).fma(f2, y2);
      y3 = ((FloatVector) i3.convert(VectorOperators.I2F, 0)).fma(f3, y3);
    }
    y0.intoArray(y, 0);
    y1.intoArray(y, W);
    y2.intoArray(y, 2 * W);
    y3.intoArray(y, 3 * W);
  }

  /** Adds {@code Σ_g s·(8 − z)·Σ_i a·q_i} with the groups' zero points. */
  private static void shift(
      PackedTiles w, float[] xs, MemorySegment scales, MemorySegment zeros, float[] y) {
    int sums = w.groupOfChunk().length;
    for (int g = 0; g < w.groups(); g++) {
      FloatVector sum = FloatVector.broadcast(Lanes.F, xs[sums + g]);
      for (int lane = 0; lane < PackedTiles.OUTPUTS; lane += W) {
        long at = g * ROW + 4L * lane;
        FloatVector zero = Lanes.load(zeros, at).neg().add(8f);
        FloatVector product = Lanes.load(scales, at).mul(zero);
        product.fma(sum, FloatVector.fromArray(Lanes.F, y, lane)).intoArray(y, lane);
      }
    }
  }

  /** The same with one zero point for all groups. */
  private static void shift(PackedTiles w, float[] xs, MemorySegment scales, float[] y) {
    int sums = w.groupOfChunk().length;
    for (int g = 0; g < w.groups(); g++) {
      FloatVector sum = FloatVector.broadcast(Lanes.F, (8 - w.fixedZero()) * xs[sums + g]);
      for (int lane = 0; lane < PackedTiles.OUTPUTS; lane += W) {
        FloatVector scale = Lanes.load(scales, g * ROW + 4L * lane);
        scale.fma(sum, FloatVector.fromArray(Lanes.F, y, lane)).intoArray(y, lane);
      }
    }
  }
}
