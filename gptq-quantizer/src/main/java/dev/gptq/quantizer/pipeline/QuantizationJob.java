package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LaneGroup;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Ends;
import dev.gptq.models.forward.Registers;
import dev.gptq.models.forward.RopeTables;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Quantizes a model block by block. The calibration windows pass through the model once: each block
 * is loaded, quantized with the activations that reach it, and run with its quantized weights to
 * give the next block its input.
 *
 * <p>Memory of the backend at any time: the weights of one block, the Hessian and its factor of one
 * group of modules that share an input (three squares of the input features; all groups of a block
 * without true-sequential), and for every calibration token the residual stream plus the widest
 * activation that is alive between two groups, unless that is computed again ({@link Activations}).
 * A target other than the weights themselves doubles weights and activations and adds two squares.
 */
public final class QuantizationJob {
  /** Calibration tokens that go through a block together: enough to fill a GPU. */
  static final int BATCH_TOKENS = 8192;

  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final QuantizationSettings settings;
  private final ImmutableList<int[]> windows;
  private final BlockStore store;
  private final JobListener listener;
  private final Activations activations;

  /**
   * A job that keeps activations.
   *
   * @param windows calibration windows of equal length; may be empty for rounding to nearest
   * @param store keeps finished blocks, on another thread than this one; those it has already are
   *     not computed again
   */
  public QuantizationJob(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      BlockStore store,
      JobListener listener) {
    this(backend, spec, source, settings, windows, store, listener, Activations.KEPT);
  }

  private QuantizationJob(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      BlockStore store,
      JobListener listener,
      Activations activations) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.settings = settings;
    this.windows = windows;
    this.store = store;
    this.listener = listener;
    this.activations = activations;
  }

  /** The same with wide activations kept or computed again. */
  public QuantizationJob with(Activations wide) {
    return new QuantizationJob(backend, spec, source, settings, windows, store, listener, wide);
  }

  /** Quantizes all blocks that the store does not have yet. */
  public void run() {
    run(StateStore.NONE);
  }

  /**
   * Quantizes all blocks that the store does not have yet, and begins with the states before one of
   * them where those are kept.
   */
  public void run(StateStore states) {
    int count = spec.blocks().size();
    int finished = finished();
    try (TensorScope scope = backend.newScope();
        LaneGroup lanes = new LaneGroup(backend);
        BackgroundStore background = new BackgroundStore(store)) {
      RopeTables ropes = new RopeTables(scope);
      int first = finished;
      List<CalibrationBatch> batches = List.of();
      if (!windows.isEmpty() && finished < count) {
        first = states.newest(finished).orElse(0);
        batches = first == 0 ? embed(scope) : allocate(scope);
        if (first > 0 && !states.load(first, backend, tensors(batches))) {
          batches.forEach(CalibrationBatch::close);
          first = 0;
          batches = embed(scope);
        }
      }
      Optional<ModelCurvature> curvature =
          settings.needsGradients() && !batches.isEmpty()
              ? Optional.of(curvature(scope))
              : Optional.empty();
      for (int i = 0; i < count; i++) {
        listener.block(i, count);
        if (i < first) {
          requireWhole(spec.blocks().get(i), store.find(i).orElseThrow().keySet());
        } else {
          quantize(i, ropes, batches, curvature, lanes, background);
          if (!batches.isEmpty() && i + 1 < count) {
            states.put(i + 1, tensors(batches), background::flush);
          }
        }
      }
    }
  }

  /** Number of blocks that the store has, up to the first that it has not. */
  private int finished() {
    int count = 0;
    while (count < spec.blocks().size() && store.find(count).isPresent()) {
      count++;
    }
    return count;
  }

  private ModelCurvature curvature(TensorScope scope) {
    return ModelCurvature.of(
        backend,
        spec,
        source,
        Perplexity.batches(windows, BATCH_TOKENS),
        settings.curvature(),
        scope);
  }

  /** The residual streams of all batches. */
  private static List<Tensor> tensors(List<CalibrationBatch> batches) {
    return batches.stream()
        .flatMap(batch -> Stream.concat(Stream.of(batch.registers()), batch.full().stream()))
        .map(registers -> registers.get(Step.RESIDUAL))
        .toList();
  }

  /** Batches whose residual streams are yet to be filled. */
  private List<CalibrationBatch> allocate(TensorScope scope) {
    List<CalibrationBatch> batches = new ArrayList<>();
    for (List<int[]> batch : Perplexity.batches(windows, BATCH_TOKENS)) {
      int rows = Math.toIntExact(batch.stream().mapToLong(window -> window.length).sum());
      batches.add(
          new CalibrationBatch(
              unfilled(rows, scope),
              settings.needsFullPrecision() ? Optional.of(unfilled(rows, scope)) : Optional.empty(),
              batch.size()));
    }
    return batches;
  }

  private Registers unfilled(int rows, TensorScope scope) {
    Registers registers = new Registers(backend, scope);
    registers.define(Step.RESIDUAL, rows, spec.hidden(), tensor -> {});
    return registers;
  }

  private long calibrationTokens() {
    return windows.stream().mapToLong(window -> window.length).sum();
  }

  private List<CalibrationBatch> embed(TensorScope scope) {
    List<CalibrationBatch> batches = new ArrayList<>();
    if (windows.isEmpty()) {
      return batches;
    }
    try (TensorScope local = backend.newScope()) {
      Ends ends = new Ends(backend, spec, source, local);
      for (List<int[]> batch : Perplexity.batches(windows, BATCH_TOKENS)) {
        Optional<Registers> full =
            settings.needsFullPrecision()
                ? Optional.of(embedded(ends, batch, scope, local))
                : Optional.empty();
        batches.add(new CalibrationBatch(embedded(ends, batch, scope, local), full, batch.size()));
      }
    }
    return batches;
  }

  private Registers embedded(Ends ends, List<int[]> batch, TensorScope scope, TensorScope weights) {
    Registers registers = new Registers(backend, scope);
    ends.embed(batch, registers, weights);
    return registers;
  }

  private void quantize(
      int index,
      RopeTables ropes,
      List<CalibrationBatch> batches,
      Optional<ModelCurvature> curvature,
      LaneGroup lanes,
      BlockStore kept) {
    BlockSpec blockSpec = spec.blocks().get(index);
    try (TensorScope local = backend.newScope()) {
      Block block = new Block(backend, blockSpec, source, ropes, local);
      Optional<Block> original =
          settings.needsFullPrecision()
              ? Optional.of(new Block(backend, blockSpec, source, ropes, local))
              : Optional.empty();
      BlockCalibration calibration =
          new BlockCalibration(
              backend,
              block,
              original,
              settings.target().kind(),
              batches,
              activations,
              group -> curvature.map(known -> known.of(index, group)));
      ModuleQuantizer quantizer =
          new ModuleQuantizer(
              lanes,
              settings,
              index,
              block,
              lane -> new GroupSolver(lane, source, settings, index, block, calibrationTokens()));
      Optional<ImmutableMap<String, QuantizedModule>> finished = kept.find(index);
      if (finished.isPresent()) {
        requireWhole(blockSpec, finished.get().keySet());
        finished.get().values().forEach(quantizer::restore);
        calibration.finish();
        return;
      }
      if (settings.trueSequential() || batches.isEmpty()) {
        calibration.sequential(groups -> quantizer.quantize(groups, listener));
      } else {
        calibration.atOnce(groups -> quantizer.quantize(groups, listener));
      }
      calibration.finish();
      kept.put(index, quantizer.modules());
    }
  }

  /**
   * A block that was kept must have the modules that would be quantized now, no more and no less.
   */
  private void requireWhole(BlockSpec block, Set<String> kept) {
    Set<String> selected =
        block
            .linears()
            .map(block::nameOf)
            .filter(settings.selection())
            .collect(ImmutableSet.toImmutableSet());
    if (!kept.equals(selected)) {
      throw new BadInputException(
          "%s was kept with modules %s instead of %s; start again with --no-resume"
              .formatted(block.prefix(), kept, selected));
    }
  }
}
