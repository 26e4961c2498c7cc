package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** A vector's worth of U8 codes, between bytes in memory and integer lanes. */
final class Codes {
  // Four lanes are 32 bits of codes, for which there is no vector shape: shifts do it.
  private static final boolean FOUR = Lanes.COUNT == 4;
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(FOUR ? 64 : 8 * Lanes.COUNT));
  private static final IntVector SHIFTS = IntVector.zero(Lanes.I).addIndex(8);

  private Codes() {}

  static IntVector load(MemorySegment segment, long offset) {
    if (FOUR) {
      int word = segment.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
      return IntVector.broadcast(Lanes.I, word).lanewise(VectorOperators.LSHR, SHIFTS).and(0xff);
    }
    ByteVector bytes = ByteVector.fromMemorySegment(BYTES, segment, offset, Lanes.ORDER);
    return (IntVector) bytes.convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.I, 0);
  }

  static void store(IntVector codes, MemorySegment segment, long offset) {
    if (FOUR) {
      int word = codes.lanewise(VectorOperators.LSHL, SHIFTS).reduceLanes(VectorOperators.OR);
      segment.set(ValueLayout.JAVA_INT_UNALIGNED, offset, word);
    } else {
      ((ByteVector) codes.convertShape(VectorOperators.I2B, BYTES, 0))
          .intoMemorySegment(segment, offset, Lanes.ORDER);
    }
  }
}
