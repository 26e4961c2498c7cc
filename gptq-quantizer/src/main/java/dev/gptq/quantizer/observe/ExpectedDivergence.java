package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.Rehearsal;
import dev.gptq.formats.packed.Precision;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.OutputCurvature;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.Refinement;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.Damping;
import dev.gptq.quantizer.pipeline.DrawnLabels;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * By how much each unit of a model will make its predictions diverge with each setting that it
 * could get, without quantizing it. A backward pass of the full-precision model over some of the
 * text, with {@linkplain DrawnLabels labels} of its own, says of each group of layers what the mean
 * square {@code g_r²} of the gradient at output r is, and H, the mean of {@code s·x·xᵀ} over its
 * inputs, {@linkplain OutputCurvature#tokenWeights weighted} by how much the predictions depend on
 * each token's outputs. A change D of the weights makes predictions diverge by about {@code
 * ½·tr(E[g·gᵀ]·D·H·Dᵀ)} a token. Where rows know nothing of each other's errors, and later columns
 * make up for those of earlier ones as GPTQ lets them, that is with {@code V·Vᵀ = H + λI}
 *
 * <pre>
 *   ½·Σ_r g_r² · Σ_j V_jj²·(w_rj − q(w_rj))²
 * </pre>
 *
 * <p>for the share of the tokens that the group sees, which is all but for experts, where q rounds
 * to nearest, by errors about as large as those of weights that were corrected before, on grids for
 * which all columns count alike; of each module it rounds a {@linkplain RowSample sample} of the
 * rows. All windows go together, so that of each group the sums are complete when the pass comes to
 * it, and one group's are held at a time.
 *
 * <p>This ranks layers and quantizes none, for which little text is enough.
 */
public final class ExpectedDivergence {
  /** Tokens that are enough for any model, and for each of its widest inputs. */
  private static final int LEAST_TOKENS = 2048;

  private static final int TOKENS_PER_INPUT = 1;

  /** Beginnings of windows are taken: many places of the text say more than few long ones. */
  private static final int MOST_LENGTH = 256;

  /** Of a module, which stand for all. */
  private static final int MOST_ROWS = 64;

  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final QuantizationSettings settings;
  private final ImmutableList<Integer> widths;
  private final BorderPlace borders;

  /**
   * Of a model of which gradients can be taken.
   *
   * @param source the full-precision weights
   * @param settings bits and group size are the least that a unit gets
   * @param widths bits that a unit may get; none for those that servers have kernels for
   * @param borders where the backward pass has the residual stream before each block
   */
  public ExpectedDivergence(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      ImmutableList<Integer> widths,
      BorderPlace borders) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.settings = settings;
    this.widths = widths.isEmpty() ? Ladder.WIDTHS : widths;
    this.borders = borders;
  }

  /**
   * The settings that a unit could get, with what they cost.
   *
   * @param divergence expected, nats a token
   */
  record Setting(Precision precision, long bytes, double divergence) {}

  /** The beginnings of as many windows as are enough. */
  public static ImmutableList<int[]> some(DecoderSpec spec, ImmutableList<int[]> windows) {
    int widest =
        spec.blocks().stream()
            .flatMap(BlockSpec::linears)
            .mapToInt(LinearSpec::inputs)
            .max()
            .orElse(0);
    int length = Math.min(MOST_LENGTH, windows.getFirst().length);
    int wanted = Math.max(LEAST_TOKENS, TOKENS_PER_INPUT * widest);
    return windows.stream()
        .limit(Math.ceilDiv(wanted, length))
        .map(window -> Arrays.copyOf(window, length))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Bytes of tensors that it takes, by a rehearsal.
   *
   * @param weights the model's weights for a backend; their elements are not read
   * @param borders where the backward pass has the residual stream before each block
   */
  public static long bytes(
      Backend backend,
      DecoderSpec spec,
      Function<Backend, WeightSource> weights,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      HiddenStates borders) {
    try (Rehearsal rehearsal = backend.rehearsal()) {
      new ExpectedDivergence(
              rehearsal,
              spec,
              weights.apply(rehearsal),
              settings,
              ImmutableList.of(),
              new BorderPlace(borders, Path.of("")))
          .of(windows);
      return rehearsal.memory().peak();
    }
  }

  /**
   * The settings of each unit, in the order of {@link Unit#of}, the least first.
   *
   * @param windows of equal length
   */
  ImmutableList<ImmutableList<Setting>> of(ImmutableList<int[]> windows) {
    ImmutableList<Unit> units = Unit.of(spec, settings.selection());
    Map<Place, Unit> places = new HashMap<>();
    for (Unit unit : units) {
      for (Unit.Input input : unit.inputs()) {
        places.put(new Place(unit.block(), input.index()), unit);
      }
    }
    double tokens = windows.size() * (double) windows.getFirst().length;
    Map<Unit, double[]> found = new HashMap<>();
    units.forEach(unit -> found.put(unit, new double[precisions(unit).size()]));
    try (Decoder decoder = new Decoder(backend, spec, source);
        BorderRoom room = new BorderRoom(decoder, borders)) {
      room.backward()
          .runWithInputs(
              windows,
              (logits, round, from, scope) -> DrawnLabels.of(backend, logits, round, from, scope),
              (block, group, input, gradient) -> {
                int index = spec.blocks().get(block).groups().toList().indexOf(group);
                Unit unit = places.get(new Place(block, index));
                if (unit != null) {
                  addCosts(unit, group, input, gradient, input.rows() / tokens, found.get(unit));
                }
              });
    }
    return units.stream()
        .map(unit -> settings(unit, found.get(unit)))
        .collect(ImmutableList.toImmutableList());
  }

  /** A group of a block. */
  private record Place(int block, int group) {}

  /** What a unit could get. */
  private ImmutableList<Precision> precisions(Unit unit) {
    Precision least =
        new Precision(settings.options().grid().bits(), settings.options().groupSize());
    return ImmutableList.<Precision>builder()
        .add(least)
        .addAll(Ladder.above(least, unit, widths))
        .build();
  }

  /**
   * Adds what each precision costs in a group of a unit.
   *
   * @param share of the tokens that the group sees
   */
  private void addCosts(
      Unit unit, Step.Linears group, Tensor input, Tensor gradient, double share, double[] sums) {
    ImmutableList<Precision> precisions = precisions(unit);
    try (TensorScope local = backend.newScope()) {
      Tensor costs = pivots(input, gradient, local);
      ImmutableMap<LinearSpec, float[]> squares = squares(group, gradient);
      List<LinearSpec> modules = unit.modules().filter(squares::containsKey).toList();
      List<RowSample> samples =
          modules.stream().map(module -> RowSample.of(squares.get(module), MOST_ROWS)).toList();
      int rows = samples.stream().mapToInt(RowSample::size).sum();
      Tensor w = local.rowMajor(DType.F32, rows, input.columns());
      int from = 0;
      for (int m = 0; m < modules.size(); m++) {
        int to = from + samples.get(m).size();
        take(unit, modules.get(m), samples.get(m), w.rows(from, to));
        from = to;
      }
      float[] errors = HostCopies.floats(errors(w, costs, precisions, local));
      for (int i = 0; i < sums.length; i++) {
        int at = i * rows;
        for (RowSample sample : samples) {
          for (int r = 0; r < sample.size(); r++) {
            sums[i] += share * sample.square(r) * errors[at++];
          }
        }
      }
    }
  }

  /** Takes some rows of a module's weights. */
  private void take(Unit unit, LinearSpec module, RowSample sample, Tensor rows) {
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.rowMajor(DType.F32, module.outputs(), module.inputs());
      la.convert(source.stored(unit.spec().nameOf(module), module, local), w);
      la.gatherColumns(w.transposed(), local.upload(sample.rows()), rows.transposed());
    }
  }

  private ImmutableList<Setting> settings(Unit unit, double[] sums) {
    ImmutableList<Precision> precisions = precisions(unit);
    ImmutableList.Builder<Setting> all = ImmutableList.builder();
    for (int i = 0; i < sums.length; i++) {
      Precision precision = precisions.get(i);
      all.add(new Setting(precision, unit.bytes(precision), sums[i] / 2));
    }
    return all.build();
  }

  /** What a squared error of each column costs, {@code V_jj²}, 1 × columns, a mean over tokens. */
  private Tensor pivots(Tensor input, Tensor gradient, TensorScope scope) {
    Hessian hessian;
    int columns = input.columns();
    float[] squares = new float[columns];
    try (TensorScope local = backend.newScope()) {
      hessian = new Hessian(backend, local, columns);
      hessian.add(weighed(input, gradient, local));
      GptqOptions options = Damping.of(settings.options(), hessian.tokens(), columns);
      HessianFactor factor =
          HessianFactor.replacing(backend, hessian, options.withRefinement(Refinement.NONE), local);
      Tensor diagonal = local.rowMajor(DType.F32, 1, columns);
      backend.linalg().diagonal(factor.v(), diagonal);
      float[] v = HostCopies.floats(diagonal);
      for (int j = 0; j < columns; j++) {
        squares[factor.order().get(j)] = v[j] * v[j] / hessian.tokens();
      }
    }
    return scope.upload(squares);
  }

  /** The tokens, each times the root of its weight. */
  private Tensor weighed(Tensor input, Tensor gradient, TensorScope scope) {
    int tokens = input.rows();
    Tensor weighed = scope.zeros(input.type(), tokens, input.columns(), Layout.ROW_MAJOR);
    try (TensorScope local = backend.newScope()) {
      Tensor squares = local.zeros(DType.F32, 1, tokens, Layout.ROW_MAJOR);
      backend.gradients().addRowSquares(gradient, squares);
      float[] roots = OutputCurvature.tokenWeights(HostCopies.floats(squares));
      int[] rows = new int[tokens];
      for (int t = 0; t < tokens; t++) {
        roots[t] = (float) Math.sqrt(roots[t]);
        rows[t] = t;
      }
      backend.transformer().scatterAddRows(input, local.upload(rows), local.upload(roots), weighed);
    }
    return weighed;
  }

  /** The mean squares of the gradients of the outputs of each module. */
  private ImmutableMap<LinearSpec, float[]> squares(Step.Linears group, Tensor gradient) {
    try (TensorScope local = backend.newScope()) {
      Tensor g = local.allocate(DType.F32, gradient.rows(), gradient.columns(), Layout.ROW_MAJOR);
      backend.linalg().convert(gradient, g);
      Tensor sums = local.columnMajor(DType.F32, gradient.columns(), 1);
      backend.linalg().rowDots(g.transposed(), g.transposed(), sums);
      float[] all = HostCopies.floats(sums);
      for (int r = 0; r < all.length; r++) {
        all[r] /= gradient.rows();
      }
      ImmutableMap.Builder<LinearSpec, float[]> modules = ImmutableMap.builder();
      int from = 0;
      for (LinearSpec module : group.modules()) {
        modules.put(module, Arrays.copyOfRange(all, from, from + module.outputs()));
        from += module.outputs();
      }
      return modules.buildOrThrow();
    }
  }

  /**
   * {@code Σ_j costs_j·(w_rj − q(w_rj))²} of each row with each precision, rows × precisions.
   * Groups are taken for rows of a matrix of their own, so that the grids of all are fitted at
   * once.
   *
   * @param w F32, rows contiguous
   */
  private Tensor errors(
      Tensor w, Tensor costs, ImmutableList<Precision> precisions, TensorScope scope) {
    LinearAlgebra la = backend.linalg();
    Tensor errors = scope.columnMajor(DType.F32, w.rows(), precisions.size());
    for (int size : precisions.stream().map(Precision::groupSize).distinct().toList()) {
      int columns = settings.options().withGroupSize(size).groupColumns(w.columns());
      int groups = w.rows() * (w.columns() / columns);
      try (TensorScope local = backend.newScope()) {
        Tensor target = local.columnMajor(DType.F32, groups, columns);
        la.convert(w.reshaped(groups, columns), target);
        Tensor d = local.columnMajor(DType.F32, groups, columns);
        Tensor squares = local.columnMajor(DType.F32, groups, columns);
        Tensor inRows = local.rowMajor(DType.F32, w.rows(), w.columns());
        for (int i = 0; i < precisions.size(); i++) {
          if (precisions.get(i).groupSize() == size) {
            round(target, precisions.get(i).bits(), d);
            la.axpy(-1, target, d);
            la.rowDots(d, d, squares);
            la.convert(squares, inRows.reshaped(groups, columns));
            la.gemm(1, inRows, costs.transposed(), 0, errors.columns(i, i + 1));
          }
        }
      }
    }
    return errors;
  }

  /** Rounds every row to nearest on a grid of its own, for which all columns count alike. */
  private void round(Tensor w, int bits, Tensor rounded) {
    GridSpec grid = settings.options().grid().withBits(bits);
    RoundToNearest rounding = new RoundToNearest(backend, grid, GptqOptions.PER_ROW);
    try (TensorScope local = backend.newScope()) {
      float[] alike = new float[w.columns()];
      Arrays.fill(alike, 1);
      QuantizedMatrix nearest =
          grid.search().needsHessian()
              ? rounding.quantize(
                  w, local.upload(alike), GridLadder.of(grid, GridLadder.FINE, false), local)
              : rounding.quantize(w, local);
      nearest.dequantize(backend, rounded);
    }
  }
}
