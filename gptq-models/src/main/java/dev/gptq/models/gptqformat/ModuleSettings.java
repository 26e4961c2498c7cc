package dev.gptq.models.gptqformat;

/**
 * How one module is quantized.
 *
 * @param bits bits of a code
 * @param groupSize input features that share a scale; −1 for a whole row
 * @param sym whether the zero point is fixed
 * @param descAct whether columns were processed in order of activation
 */
public record ModuleSettings(int bits, int groupSize, boolean sym, boolean descAct) {

  /** Groups of a row of {@code columns} weights; the last one may be shorter. */
  public int groups(int columns) {
    return groupSize == -1 ? 1 : Math.ceilDiv(columns, groupSize);
  }
}
