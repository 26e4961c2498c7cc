package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableSet;

/** Where rows of a checkpoint stand in a file. Tensors are named as in the file, below a block. */
public final class GgufRows {
  private static final ImmutableSet<String> ROTATED = ImmutableSet.of("attn_q", "attn_k");

  /** Matrices of one row, which files have as vectors. */
  private static final ImmutableSet<String> VECTORS = ImmutableSet.of("ffn_gate_inp_shexp");

  private GgufRows() {}

  /** Whether rows are those of rotated heads. */
  public static boolean isRotated(String tensor) {
    return ROTATED.contains(tensor);
  }

  /** Whether a matrix of one row is a vector in the file. */
  public static boolean isVector(String tensor) {
    return VECTORS.contains(tensor);
  }

  /**
   * The row of the checkpoint that stands in a row of the file, where the two channels of a head
   * that turn together lie side by side in the file and half a head apart in the checkpoint.
   */
  public static int inCheckpoint(int row, int headDim) {
    return row - row % headDim + row % headDim / 2 + row % 2 * (headDim / 2);
  }

  /** The row of the file in which a row of the checkpoint stands. */
  static int inFile(int row, int headDim) {
    int channel = row % headDim;
    int half = headDim / 2;
    return row - channel + channel % half * 2 + channel / half;
  }
}
