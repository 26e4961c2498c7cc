package dev.gptq.simd.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Packed weights of 2, 4 or 8 bits in native memory, as {@link RoundedKernels} read them. Inputs
 * are sorted by group; a group is padded to whole chunks of {@link #CHUNK_INPUTS}, and an input's
 * position in that order is its slot. Outputs are cut into tiles of {@code width}, the last one
 * padded.
 *
 * @param bits of a code
 * @param words int32, tiles × bits·chunks × width: 32/bits codes each, slot i of a word in the bits
 *     from bits·i on; a tile's rows of words of a chunk follow one another, as many as a code has
 *     bits
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
