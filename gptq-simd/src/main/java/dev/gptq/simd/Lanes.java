package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** The vector species of all kernels, and the loads and stores they share. */
final class Lanes {
  /** Shape of all vectors. */
  static final VectorShape SHAPE = shape(LaneWidth.requested());

  /** Floats, the lanes that matter. */
  static final VectorSpecies<Float> F = VectorSpecies.of(float.class, SHAPE);

  /** Integers, as many lanes as floats. */
  static final VectorSpecies<Integer> I = VectorSpecies.of(int.class, SHAPE);

  /** Doubles, half as many. */
  static final VectorSpecies<Double> D = VectorSpecies.of(double.class, SHAPE);

  /** Float lanes in a vector: 4, 8 or 16. */
  static final int COUNT = F.length();

  /** Bytes of a vector. */
  static final int BYTES = F.vectorByteSize();

  static final ByteOrder ORDER = ByteOrder.nativeOrder();

  // Alignment is ours to ensure; the unaligned layouts save a test on every scalar access.
  static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  private Lanes() {}

  static FloatVector load(MemorySegment segment, long offset) {
    requireNative(segment);
    return FloatVector.fromMemorySegment(F, segment, offset, ORDER);
  }

  static void store(FloatVector v, MemorySegment segment, long offset) {
    requireNative(segment);
    v.intoMemorySegment(segment, offset, ORDER);
  }

  /** All lanes hold the float at {@code offset}. */
  static FloatVector broadcast(MemorySegment segment, long offset) {
    return FloatVector.broadcast(F, segment.get(FLOAT, offset));
  }

  static IntVector loadInts(MemorySegment segment, long offset) {
    requireNative(segment);
    return IntVector.fromMemorySegment(I, segment, offset, ORDER);
  }

  /**
   * Kernels run on native memory only. The test costs nothing and tells the compiler the class of
   * the segment; the library's own methods have seen heap segments too, and would branch on it.
   */
  static void requireNative(MemorySegment segment) {
    if (!segment.isNative()) {
      throw new IllegalArgumentException("kernels need native memory");
    }
  }

  /**
   * Partial sums of a reduction, as many at every width: element i belongs to sum i modulo 16. They
   * lie in one vector, or take turns in two or four. Added up half a turn apart they give the same
   * bits whatever the width, and whose turn it is does not matter:
   *
   * <pre>
   *   Lanes.COUNT == 4 ? Lanes.sum(s0.add(s2), s1.add(s3)) : Lanes.sum(s0.add(s1))
   * </pre>
   *
   * with a second vector of zeros where one holds them all. What is passed is the result of an
   * operation, because the sums of a loop would be objects in it for a call that is not inlined.
   */
  static final int PARTS = 16;

  /**
   * The sum of all lanes in float64. In a fixed order: that of the library's own reduction is not,
   * and differs between interpreted and compiled code.
   */
  static double sum(FloatVector v) {
    if (COUNT > 8) {
      FloatVector half = (FloatVector) v.reinterpretShape(FloatVector.SPECIES_256, 0);
      half = half.add((FloatVector) v.reinterpretShape(FloatVector.SPECIES_256, 1));
      DoubleVector s = (DoubleVector) half.convertShape(VectorOperators.F2D, D, 0);
      return ((s.lane(0) + s.lane(4)) + (s.lane(1) + s.lane(5)))
          + ((s.lane(2) + s.lane(6)) + (s.lane(3) + s.lane(7)));
    }
    DoubleVector s = widened(v, 0).add(widened(v, 1));
    return COUNT == 4 ? s.lane(0) + s.lane(1) : (s.lane(0) + s.lane(1)) + (s.lane(2) + s.lane(3));
  }

  /** The sum of the lanes of two vectors of four, as that of one vector of eight. */
  static double sum(FloatVector a, FloatVector b) {
    DoubleVector low = widened(a, 0).add(widened(b, 0));
    DoubleVector high = widened(a, 1).add(widened(b, 1));
    return (low.lane(0) + low.lane(1)) + (high.lane(0) + high.lane(1));
  }

  private static DoubleVector widened(FloatVector v, int half) {
    return (DoubleVector) v.convertShape(VectorOperators.F2D, D, half);
  }

  /** Floats from integers. */
  static FloatVector toFloat(IntVector v) {
    return (FloatVector) v.convert(VectorOperators.I2F, 0);
  }

  private static VectorShape shape(int bits) {
    return bits == LaneWidth.PREFERRED
        ? VectorShape.preferredShape()
        : VectorShape.forBitSize(bits);
  }
}
