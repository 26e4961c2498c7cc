package dev.gptq.quantizer.pipeline;

import dev.gptq.grid.GridSearch;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Refinement;
import java.util.Locale;

/**
 * Settings that go together, from quick to careful. All write the same file format, and files that
 * load and run the same.
 */
public enum Quality {
  /** Group-aware order, min-max grids. */
  FAST(GridSearch.MIN_MAX, Refinement.NONE, Target.PLAIN, Curvature.INPUTS, 128),
  /** Group-aware order, grids by pivots, scales refitted once. */
  STANDARD(GridSearch.PIVOT, new Refinement(1, 1, 0, false), Target.PLAIN, Curvature.INPUTS, 128),
  /**
   * Also the residual target, a beam, sweeps, the curvature of the whole model, and half as much
   * again of the calibration text.
   */
  BEST(
      GridSearch.PIVOT,
      new Refinement(8, 1, 4, false),
      new Target(Target.Kind.RESIDUAL, Target.DEFAULT_ALPHA),
      Curvature.KL,
      192),
  /** What {@link #BEST} is, and then codes and scales of the whole model are tuned end to end. */
  MAX(BEST.search, BEST.refinement, BEST.target, BEST.curvature, BEST.samples);

  private final GridSearch search;

  // Records of numbers, which nothing marks as immutable.
  @SuppressWarnings("ImmutableEnumChecker")
  private final Refinement refinement;

  @SuppressWarnings("ImmutableEnumChecker")
  private final Target target;

  private final Curvature curvature;
  private final int samples;

  Quality(
      GridSearch search, Refinement refinement, Target target, Curvature curvature, int samples) {
    this.search = search;
    this.refinement = refinement;
    this.target = target;
    this.curvature = curvature;
    this.samples = samples;
  }

  /** The name on the command line. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** These options with the order, grid search and refinement of the preset. */
  public GptqOptions apply(GptqOptions options) {
    return options
        .withOrder(order())
        .withGrid(options.grid().withSearch(search))
        .withRefinement(refinement);
  }

  /** The order of the columns: the same in all, since it costs nothing and needs no g_idx. */
  public ColumnOrder order() {
    return ColumnOrder.GROUP_AWARE;
  }

  /** The grid search. */
  public GridSearch search() {
    return search;
  }

  /** Beam, refits, sweeps. */
  public Refinement refinement() {
    return refinement;
  }

  /** The target. */
  public Target target() {
    return target;
  }

  /** What is taken into account of how much errors cost, where the model's gradients are known. */
  public Curvature curvature() {
    return curvature;
  }

  /** Whether the whole model is tuned once it is quantized. */
  public boolean tunes() {
    return this == MAX;
  }

  /** Calibration windows. */
  public int samples() {
    return samples;
  }
}
