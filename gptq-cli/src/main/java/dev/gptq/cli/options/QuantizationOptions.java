package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import dev.gptq.formats.packed.Format;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.grid.SuperBlock;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.GroupStatistics;
import dev.gptq.quantize.Refinement;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.tensor.DType;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/** The options of the algorithm that all bit widths and group sizes of a run share. */
public final class QuantizationOptions {
  private static final int HALF_BITS = 11;

  /** Orders by their names on the command line. */
  public enum Order {
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
  public static final class SchemeConverter implements picocli.CommandLine.ITypeConverter<Scheme> {
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
      names = "--quality",
      paramLabel = "NAME",
      description = {
        "what to do beyond plain GPTQ; all write the same format, and options below override it"
            + " (default: standard)",
        "  fast: group-aware order, min-max grids",
        "  standard: + grids by what an error costs, scales refitted; a quarter less error than fast"
            + " at 3 bits for about the same time",
        "  best: + makes up for errors of earlier layers, tries codes in many ways, and asks by a"
            + " backward pass what the whole model makes of an error, 192 samples; a third less error"
            + " than standard for about six times the time, with all of the model in memory",
        "  max: + tunes codes and scales of the whole model by its gradients, in 1000 steps (--tune); a"
            + " tenth to a quarter less error than best where there is text enough"
      })
  private String qualityName = Quality.STANDARD.id();

  @Option(
      names = "--grid",
      paramLabel = "NAME",
      description =
          "what a grid is fitted to: minmax, the range of the weights; mse, their rounding errors;"
              + " hdiag, hpiv, hclip, loop, what these errors cost")
  private String gridName;

  @Option(names = "--mse", description = "the same as --grid mse")
  private boolean mse;

  @Option(
      names = "--target",
      paramLabel = "NAME",
      description =
          "plain: the weights; qep: also make up for errors in a layer's input; residual: and for"
              + " those in the residual stream")
  private String targetName;

  @Option(
      names = "--alpha",
      paramLabel = "X",
      description = "how much of these errors, 0 to 1 (default: 0.5)")
  private double alpha = Target.DEFAULT_ALPHA;

  @Option(
      names = "--curvature",
      paramLabel = "NAME",
      description =
          "what says how much errors cost: inputs, a layer's own inputs; tokens, also how much the"
              + " loss depends on each token; kl, also how the loss couples a layer's outputs"
              + " (default: with --quality best and max kl, where the family has gradients and layers are not"
              + " observed; otherwise inputs). The last two take gradients of the whole model, which"
              + " must fit in memory")
  private String curvatureName;

  @Option(
      names = "--beam",
      paramLabel = "N",
      description = "partial solutions a row, 1 to 32; the time of the column loop grows with it")
  private Integer beam;

  @Option(
      names = "--refit",
      paramLabel = "N",
      description =
          "how often to refit scales to their codes; from the second time on the columns are"
              + " quantized again before it")
  private Integer refits;

  @Option(
      names = "--sweeps",
      paramLabel = "N",
      description = "sweeps of coordinate descent over the finished codes")
  private Integer sweeps;

  @Option(
      names = "--scale-bits",
      paramLabel = "N",
      description =
          "significant bits of a scale, 4 to 11, all of float16's (default: 8, which float16 and"
              + " bfloat16 hold alike; fewer where a format multiplies scales by zero points, 11 in"
              + " symmetric GGUF)")
  private Integer scaleBits;

  @Option(
      names = "--signed-scales",
      description =
          "also try negative scales for symmetric grids; not every loader is known to read them")
  private boolean signedScales;

  @Option(
      names = "--order",
      paramLabel = "NAME",
      description = "order of the columns: natural, act (by activation), group-aware")
  private String order;

  @Option(names = "--act-order", description = "the same as --order act")
  private boolean actOrder;

  @Option(
      names = "--static-groups",
      negatable = true,
      description =
          "fit all grids before the first column is quantized, to columns that stand side by side"
              + " (default: with act-order, but for --group-statistics reference);"
              + " --no-static-groups: act-order scatters groups, which few loaders take")
  private Boolean staticGroups;

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
  public GptqOptions with(int bits, int groupSize) {
    if (!GridSpec.isWidth(bits)) {
      throw new UsageException("--bits must be between 2 and 8 but is " + bits);
    }
    try {
      Quality quality = quality();
      return new GptqOptions(
          new GridSpec(scheme(), bits, search(quality), DType.F16)
              .withScaleBits(scaleBits().orElse(Format.BOTH_TYPES)),
          groupSize,
          order(quality),
          staticGroups(order(quality)),
          damping,
          blockSize,
          statistics,
          new Refinement(
              beam == null ? quality.refinement().beam() : beam,
              refits == null ? quality.refinement().refits() : refits,
              sweeps == null ? quality.refinement().sweeps() : sweeps,
              signedScales));
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
  }

  /** Significant bits of a scale, if they were asked for. */
  public OptionalInt scaleBits() {
    if (scaleBits == null) {
      return OptionalInt.empty();
    }
    if (scaleBits < 4 || scaleBits > HALF_BITS) {
      throw new UsageException("--scale-bits must be between 4 and 11 but is " + scaleBits);
    }
    return OptionalInt.of(scaleBits == HALF_BITS ? GridSpec.ALL_SCALE_BITS : scaleBits);
  }

  /** The options for blocks of llama.cpp, which have a grid and a group size of their own. */
  public GptqOptions with(SuperBlock type) {
    return with(type.bits(), type.groupSize()).withBlocks(type);
  }

  /** The preset. */
  public Quality quality() {
    for (Quality known : Quality.values()) {
      if (known.id().equals(qualityName)) {
        return known;
      }
    }
    throw new UsageException("--quality must be fast, standard, best or max but is " + qualityName);
  }

  /** What layers' weights are to come close to. */
  public Target target() {
    Target preset = quality().target();
    try {
      if (targetName == null) {
        return preset.kind() == Target.Kind.PLAIN ? preset : new Target(preset.kind(), alpha);
      }
      for (Target.Kind kind : Target.Kind.values()) {
        if (kind.id().equals(targetName)) {
          return kind == Target.Kind.PLAIN ? Target.PLAIN : new Target(kind, alpha);
        }
      }
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
    throw new UsageException("--target must be plain, qep or residual but is " + targetName);
  }

  /** The curvature, if one was asked for. */
  public Optional<Curvature> curvature() {
    if (curvatureName == null) {
      return Optional.empty();
    }
    for (Curvature known : Curvature.values()) {
      if (known.id().equals(curvatureName)) {
        return Optional.of(known);
      }
    }
    throw new UsageException("--curvature must be inputs, tokens or kl but is " + curvatureName);
  }

  private GridSearch search(Quality quality) {
    if (gridName == null) {
      if (mse) {
        return GridSearch.MSE;
      }
      return statistics == GroupStatistics.REFERENCE ? GridSearch.MIN_MAX : quality.search();
    }
    GridSearch search = GridSearch.of(gridName);
    if (mse && search != GridSearch.MSE) {
      throw new UsageException("--mse contradicts --grid " + gridName);
    }
    return search;
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

  private boolean staticGroups(ColumnOrder chosen) {
    return staticGroups == null
        ? chosen == ColumnOrder.ACTIVATION && statistics == GroupStatistics.CURRENT
        : staticGroups;
  }

  private ColumnOrder order(Quality quality) {
    if (order == null) {
      return actOrder ? ColumnOrder.ACTIVATION : quality.order();
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
