package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.tensor.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

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
 *
 * <p>Several devices ({@link Backend#devices}) share the work as {@link Dealing} says: each takes
 * some batches through the blocks and solves some of the modules that can be solved side by side.
 * The result has the same bits as that of one device.
 */
public final class QuantizationJob {
  private static final long MOST_WAITING = 512L << 20;

  /**
   * Bytes of codes that may wait in Java's heap to be packed when others come: a 32nd of the heap,
   * and a block of small experts at most. If none did, a mixture would wait for processors that
   * write the block before.
   */
  public static long waitingCodes() {
    return Math.min(MOST_WAITING, Runtime.getRuntime().maxMemory() / 32);
  }

  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final QuantizationSettings settings;
  private final ImmutableList<int[]> windows;
  private final BlockStore store;
  private final JobListener listener;
  private final How how;

  /** What has no influence on the result but on what it takes. */
  private record How(
      Activations activations,
      Weights weights,
      FirstWeights first,
      int batchTokens,
      StatePlaces places,
      Path folder) {}

  /**
   * A job that keeps activations, and loads weights in turn.
   *
   * @param windows calibration windows of equal length; may be empty for rounding to nearest
   * @param store keeps blocks, on another thread than this one; those it has already are not
   *     computed again
   */
  public QuantizationJob(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      BlockStore store,
      JobListener listener) {
    this(
        backend,
        spec,
        source,
        settings,
        windows,
        store,
        listener,
        new How(
            Activations.KEPT,
            Weights.IN_TURN,
            FirstWeights.none(),
            Dealing.batchTokens(spec, windows),
            StatePlaces.all(HiddenStates.DEVICE),
            Path.of("")));
  }

  private QuantizationJob(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      BlockStore store,
      JobListener listener,
      How how) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.settings = settings;
    this.windows = windows;
    this.store = store;
    this.listener = listener;
    this.how = how;
  }

  private QuantizationJob with(How other) {
    return new QuantizationJob(backend, spec, source, settings, windows, store, listener, other);
  }

  /** The same with wide activations kept or computed again. */
  public QuantizationJob with(Activations wide) {
    return with(
        new How(wide, how.weights(), how.first(), how.batchTokens(), how.places(), how.folder()));
  }

  /** The same with weights that come ahead or in turn. */
  public QuantizationJob with(Weights when) {
    return with(when, FirstWeights.none());
  }

  /**
   * The same with weights of the first block that may be on their way.
   *
   * @param first none, unless weights come ahead
   */
  public QuantizationJob with(Weights when, FirstWeights first) {
    return with(
        new How(how.activations(), when, first, how.batchTokens(), how.places(), how.folder()));
  }

  /** The same with that many calibration tokens, or one window, going through a block together. */
  public QuantizationJob withBatches(int tokens) {
    return with(
        new How(how.activations(), how.weights(), how.first(), tokens, how.places(), how.folder()));
  }

  /**
   * The same with hidden states in some places.
   *
   * @param folder of their files, which are deleted in the end
   */
  public QuantizationJob with(StatePlaces places, Path folder) {
    return with(
        new How(how.activations(), how.weights(), how.first(), how.batchTokens(), places, folder));
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
    try (DeviceGroup devices = new DeviceGroup(backend, Dealing.lanes(backend, spec));
        StateRoom room = new StateRoom(how.places().states(), how.folder());
        DeviceShares shares =
            new DeviceShares(
                devices, spec, source, settings, batches(), how.weights(), how.first(), room);
        BackgroundStore background = new BackgroundStore(store)) {
      int first = finished;
      if (!windows.isEmpty() && finished < count) {
        first = states.newest(finished).orElse(0);
        if (first > 0) {
          shares.allocate();
        }
        if (first == 0 || !states.load(first, shares.states())) {
          first = 0;
          shares.expect(0);
          shares.embed();
        }
      }
      try (TensorScope scope = backend.newScope()) {
        Optional<ModelCurvature> curvature =
            settings.needsGradients() && shares.hasBatches()
                ? Optional.of(
                    ModelCurvature.of(
                        devices,
                        spec,
                        source,
                        batches(),
                        settings.curvature(),
                        states,
                        new BorderPlace(how.places().borders(), how.folder().resolve("borders")),
                        scope))
                : Optional.empty();
        for (int i = 0; i < count; i++) {
          listener.block(i, count);
          if (i < first) {
            requireWhole(spec.blocks().get(i), store.find(i).orElseThrow().keySet());
          } else {
            quantize(i, shares, curvature, background);
            if (shares.hasBatches() && i + 1 < count) {
              states.put(i + 1, shares.states(), background::flush);
            }
          }
        }
      }
    }
  }

  private List<List<int[]>> batches() {
    return windows.isEmpty() ? List.of() : Perplexity.batches(windows, how.batchTokens());
  }

  /** Number of blocks that the store has, up to the first that it has not. */
  private int finished() {
    int count = 0;
    while (count < spec.blocks().size() && store.find(count).isPresent()) {
      count++;
    }
    return count;
  }

  private void quantize(
      int index, DeviceShares shares, Optional<ModelCurvature> curvature, BackgroundStore kept) {
    BlockSpec blockSpec = spec.blocks().get(index);
    try (DeviceScopes local = new DeviceScopes(shares.devices());
        BackgroundStore.Block modules = kept.begin(index)) {
      List<BlockShare> block = shares.load(index, local);
      BlockCalibration calibration =
          new BlockCalibration(
              shares.devices(),
              block,
              batches(),
              spec.hidden(),
              settings,
              how.activations(),
              how.places().states(),
              group -> curvature.flatMap(known -> known.of(index, group)));
      ModuleQuantizer quantizer =
          new ModuleQuantizer(shares.devices(), block, settings, index, modules::add);
      Optional<ImmutableMap<String, QuantizedModule>> finished = kept.find(index);
      if (finished.isPresent()) {
        requireWhole(blockSpec, finished.get().keySet());
        finished.get().values().forEach(quantizer::restore);
        calibration.finish();
        return;
      }
      if (settings.trueSequential() || !shares.hasBatches()) {
        calibration.sequential(groups -> quantizer.quantize(groups, listener));
      } else {
        calibration.atOnce(groups -> quantizer.quantize(groups, listener));
      }
      calibration.finish();
      modules.finish();
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
