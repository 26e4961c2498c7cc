package dev.gptq.formats.packed;

import dev.gptq.pack.BitStream;

/**
 * What of a module's settings its size depends on, and what may differ from module to module of one
 * run.
 *
 * @param bits bits of a code
 * @param groupSize input features that share a scale; −1 for a whole row
 */
public record Precision(int bits, int groupSize) {

  /** Bytes of a module's tensors in a GPTQ checkpoint, whatever the grid, a bias excepted. */
  public long bytes(int rows, int columns) {
    long codes = 4L * BitStream.words(columns, bits) * rows;
    long zeros = 4L * BitStream.words(rows, bits) * groups(columns);
    return codes + zeros + 2L * groups(columns) * rows + 4L * columns;
  }

  /** Groups of a row of {@code columns} weights; the last one may be shorter. */
  public int groups(int columns) {
    return groupSize == -1 ? 1 : Math.ceilDiv(columns, groupSize);
  }
}
