package dev.gptq.quantize;

import com.google.common.base.Preconditions;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.SuperBlock;
import java.util.Optional;

/**
 * What GPTQ does with one weight matrix.
 *
 * @param grid scheme, bits, grid search, type of stored scales
 * @param groupSize columns that share a scale and a zero point; {@link #PER_ROW} for whole rows
 * @param order order of the columns
 * @param staticGroups whether all grids are fitted before the first column is quantized, to groups
 *     of the stored order
 * @param damping λ as a share of the mean diagonal of the Hessian
 * @param blockSize columns of a lazy update; the result does not depend on it but for rounding
 * @param statistics which weights grids are fitted to
 * @param refinement what is done beyond plain GPTQ
 * @param blocks the blocks whose scales are quantized too, if any; grid and group size are theirs
 */
public record GptqOptions(
    GridSpec grid,
    int groupSize,
    ColumnOrder order,
    boolean staticGroups,
    double damping,
    int blockSize,
    GroupStatistics statistics,
    Refinement refinement,
    Optional<SuperBlock> blocks) {

  /** The group size that means one group a row. */
  public static final int PER_ROW = -1;

  /** The damping of the paper. */
  public static final double DEFAULT_DAMPING = 0.01;

  /** The block size of the paper. */
  public static final int DEFAULT_BLOCK = 128;

  /** Checks the ranges. */
  public GptqOptions {
    Preconditions.checkArgument(
        groupSize > 0 || groupSize == PER_ROW,
        "group size must be positive, or -1 for one group a row, but is %s",
        groupSize);
    Preconditions.checkArgument(
        damping >= 0 && damping <= 1, "damping must be between 0 and 1 but is %s", damping);
    Preconditions.checkArgument(blockSize > 0, "block size must be positive but is %s", blockSize);
    Preconditions.checkArgument(
        statistics == GroupStatistics.CURRENT
            || groupSize == PER_ROW
            || groupSize % blockSize == 0
            || blockSize % groupSize == 0,
        "reference group statistics need a block size (%s) and a group size (%s) of which one"
            + " divides the other",
        blockSize,
        groupSize);
    Preconditions.checkArgument(
        statistics == GroupStatistics.CURRENT || !grid.search().needsHessian(),
        "reference group statistics know the grid searches minmax and mse, not %s",
        grid.search().id());
    blocks.ifPresent(type ->
        Preconditions.checkArgument(
            grid.bits() == type.bits()
                && grid.scheme() == type.scheme()
                && groupSize == type.groupSize(),
            "the grid of %s is not that of these options",
            type));
  }

  /** Without blocks. */
  public GptqOptions(
      GridSpec grid,
      int groupSize,
      ColumnOrder order,
      boolean staticGroups,
      double damping,
      int blockSize,
      GroupStatistics statistics,
      Refinement refinement) {
    this(
        grid,
        groupSize,
        order,
        staticGroups,
        damping,
        blockSize,
        statistics,
        refinement,
        Optional.empty());
  }

  /** Natural order and the paper's damping and block size. */
  public static GptqOptions of(GridSpec grid, int groupSize) {
    return new GptqOptions(
        grid,
        groupSize,
        ColumnOrder.NATURAL,
        false,
        DEFAULT_DAMPING,
        DEFAULT_BLOCK,
        GroupStatistics.CURRENT,
        Refinement.NONE);
  }

  /** The same with another group size. */
  public GptqOptions withGroupSize(int other) {
    return new GptqOptions(
        grid, other, order, staticGroups, damping, blockSize, statistics, refinement, blocks);
  }

  /** The same with another order. */
  public GptqOptions withOrder(ColumnOrder other) {
    return new GptqOptions(
        grid, groupSize, other, staticGroups, damping, blockSize, statistics, refinement, blocks);
  }

  /** The same with static or dynamic groups. */
  public GptqOptions withStaticGroups(boolean other) {
    return new GptqOptions(
        grid, groupSize, order, other, damping, blockSize, statistics, refinement, blocks);
  }

  /** The same with another damping. */
  public GptqOptions withDamping(double other) {
    return new GptqOptions(
        grid, groupSize, order, staticGroups, other, blockSize, statistics, refinement, blocks);
  }

  /** The same with another block size. */
  public GptqOptions withBlockSize(int other) {
    return new GptqOptions(
        grid, groupSize, order, staticGroups, damping, other, statistics, refinement, blocks);
  }

  /** The same with other group statistics. */
  public GptqOptions withStatistics(GroupStatistics other) {
    return new GptqOptions(
        grid, groupSize, order, staticGroups, damping, blockSize, other, refinement, blocks);
  }

  /** Whether H itself is needed beside its factor. */
  boolean needsDampedHessian() {
    return refinement.needsHessian() || grid.search() == GridSearch.HESSIAN_DIAGONAL;
  }

  /** The same with another grid. */
  public GptqOptions withGrid(GridSpec other) {
    return new GptqOptions(
        other, groupSize, order, staticGroups, damping, blockSize, statistics, refinement, blocks);
  }

  /**
   * The same for blocks, with their grid and group size and an order of the columns that needs
   * nothing at run time, since all scales are fixed beforehand.
   */
  public GptqOptions withBlocks(SuperBlock type) {
    return new GptqOptions(
        type.grid(grid.search()),
        type.groupSize(),
        order,
        true,
        damping,
        blockSize,
        GroupStatistics.CURRENT,
        refinement,
        Optional.of(type));
  }

  /** The same with another refinement. */
  public GptqOptions withRefinement(Refinement other) {
    return new GptqOptions(
        grid, groupSize, order, staticGroups, damping, blockSize, statistics, other, blocks);
  }

  /**
   * Columns of a group in a matrix of that many columns.
   *
   * @throws IllegalArgumentException if the group size does not divide the columns
   */
  public int groupColumns(int columns) {
    return groupColumns(groupSize, columns);
  }

  static int groupColumns(int groupSize, int columns) {
    if (groupSize == PER_ROW) {
      return columns;
    }
    Preconditions.checkArgument(
        columns % groupSize == 0, "group size %s does not divide %s columns", groupSize, columns);
    return groupSize;
  }
}
