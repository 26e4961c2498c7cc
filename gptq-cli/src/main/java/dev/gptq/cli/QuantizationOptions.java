package dev.gptq.cli;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.GroupStatistics;
import dev.gptq.tensor.DType;
import picocli.CommandLine.Option;

/** The options of the algorithm that all bit widths and group sizes of a run share. */
final class QuantizationOptions {
  /** Orders by their names on the command line. */
  enum Order {
    /** As stored. */
    NATURAL(ColumnOrder.NATURAL),
    /** Act-order. */
    ACT(ColumnOrder.ACTIVATION),
    /** Group-aware order. */
    GROUP_AWARE(ColumnOrder.GROUP_AWARE);

    private final ColumnOrder order;

    Order(ColumnOrder order) {
      this.order = order;
    }

    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    }
  }

  /** Schemes by their names on the command line. */
  static final class SchemeConverter implements picocli.CommandLine.ITypeConverter<Scheme> {
    @Override
    public Scheme convert(String value) {
      try {
        return Scheme.of(value);
      } catch (IllegalArgumentException e) {
        throw new picocli.CommandLine.TypeConversionException(e.getMessage());
      }
    }
  }

  @Option(
      names = "--sym",
      negatable = true,
      description =
          "symmetric grid without zero points, which the fastest kernels need (default: --sym)")
  private Boolean symmetric;

  @Option(names = "--asym", description = "a zero point for each group")
  private boolean asymmetric;

  @Option(
      names = "--scheme",
      paramLabel = "NAME",
      converter = SchemeConverter.class,
      description = "the grid by name: asym, sym, sym-restricted, half-offset")
  private Scheme scheme;

  @Option(
      names = "--mse",
      description = "search each scale for the least rounding error instead of covering the range")
  private boolean mse;

  @Option(
      names = "--order",
      paramLabel = "NAME",
      description =
          "order of the columns: natural, act (by activation; needs g_idx at run time), group-aware"
              + " (default: natural)")
  private String order;

  @Option(names = "--act-order", description = "the same as --order act")
  private boolean actOrder;

  @Option(
      names = "--static-groups",
      description = "fit all grids before the first column is quantized; act-order needs no g_idx")
  private boolean staticGroups;

  @Option(
      names = "--damp",
      paramLabel = "X",
      description =
          "added to the Hessian's diagonal, as a share of its mean (default: ${DEFAULT-VALUE})")
  private double damping = GptqOptions.DEFAULT_DAMPING;

  @Option(
      names = "--block-size",
      paramLabel = "N",
      description = "columns of a lazy update; changes speed only (default: ${DEFAULT-VALUE})")
  private int blockSize = GptqOptions.DEFAULT_BLOCK;

  @Option(
      names = "--group-statistics",
      paramLabel = "NAME",
      description =
          "current, or reference: as the authors' code fits groups smaller than a block (default:"
              + " current)")
  private GroupStatistics statistics = GroupStatistics.CURRENT;

  /** The options for one bit width and group size. */
  GptqOptions with(int bits, int groupSize) {
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8) {
      throw new UsageException("--bits must be 2, 3, 4 or 8 but is " + bits);
    }
    GridSpec grid =
        new GridSpec(scheme(), bits, mse ? GridSearch.MSE : GridSearch.MIN_MAX, DType.F16);
    try {
      return new GptqOptions(
          grid, groupSize, order(), staticGroups, damping, blockSize, statistics);
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
  }

  private Scheme scheme() {
    boolean conflict =
        (asymmetric && Boolean.TRUE.equals(symmetric))
            || (scheme != null && (asymmetric || symmetric != null));
    if (conflict) {
      throw new UsageException("give only one of --sym, --asym and --scheme");
    }
    if (scheme != null) {
      return scheme;
    }
    return asymmetric || Boolean.FALSE.equals(symmetric) ? Scheme.ASYMMETRIC : Scheme.SYMMETRIC;
  }

  private ColumnOrder order() {
    if (order == null) {
      return actOrder ? ColumnOrder.ACTIVATION : ColumnOrder.NATURAL;
    }
    for (Order known : Order.values()) {
      if (known.toString().equals(order)) {
        if (actOrder && known != Order.ACT) {
          throw new UsageException("--act-order contradicts --order " + order);
        }
        return known.order;
      }
    }
    throw new UsageException("--order must be natural, act or group-aware but is " + order);
  }
}
