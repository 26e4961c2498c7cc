package dev.gptq.formats.gptq;

import dev.gptq.pack.BitStream;

/**
 * How one module is quantized.
 *
 * @param bits bits of a code
 * @param groupSize input features that share a scale; −1 for a whole row
 * @param sym whether the zero point is fixed
 * @param descAct whether columns were processed in order of activation
 */
public record ModuleSettings(int bits, int groupSize, boolean sym, boolean descAct) {

  /** Bytes of the tensors of a module of that shape, a bias excepted; see {@link GptqTensors}. */
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
