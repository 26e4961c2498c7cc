package dev.gptq.simd.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Packed weights of 2 to 8 bits in native memory, as {@link RoundedKernels} read them. Inputs are
 * sorted by group; a group is padded to whole chunks of {@link #CHUNK_INPUTS}, and an input's
 * position in that order is its slot. Outputs are cut into tiles of {@code width}, the last one
 * padded.
 *
 * <p>Words of codes of 2, 4 or 8 bits hold 32/bits codes each, slot i of a word in the bits from
 * bits·i on. Codes of other widths lie in parts of 4, 2 and 1 bits, those of which the width is the
 * sum, the first one their lowest bits. A chunk has as many words of a part as this has bits, the
 * first part's first: place p of byte b of a part's word k, in its bits from size·p on, belongs to
 * slot {@code 4·(k·8/size + p) + b}.
 *
 * @param bits of a code
 * @param words int32, tiles × bits·chunks × width; a tile's rows of words of a chunk follow one
 *     another, as many as a code has bits
 * @param scales float32, tiles × groups × width
 * @param zeros float32, placed as the scales; empty where all are {@code fixedZero}
 * @param groupOfChunk int32, the group of each chunk
 * @param outputs of all tiles, without padding
 * @param width outputs of a tile: 16, 32 or 64
 */
public record RoundedWeights(
    int bits,
    MemorySegment words,
    MemorySegment scales,
    Optional<MemorySegment> zeros,
    float fixedZero,
    MemorySegment groupOfChunk,
    int outputs,
    int width,
    int chunks,
    int groups) {

  /** Slots of a chunk, which share a scale of the activations. */
  public static final int CHUNK_INPUTS = 32;
}
