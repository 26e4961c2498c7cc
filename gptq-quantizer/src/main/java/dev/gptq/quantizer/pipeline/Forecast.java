package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.Work;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * What a quantization will take, by a {@link Rehearsal} of it.
 *
 * @param memory of the backend
 * @param work for all blocks
 * @param activations with which that is so
 * @param weights when those come with which that is so
 * @param states where hidden states lie with which that is so
 */
public record Forecast(
    MemoryEstimate memory,
    Work work,
    Activations activations,
    Weights weights,
    HiddenStates states) {
  private static final String AGAIN =
      ", from where each batch goes through a block again for each group of layers";

  private static final BlockStore NOTHING_KEPT =
      new BlockStore() {
        @Override
        public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
          return Optional.empty();
        }

        @Override
        public void put(int block, ImmutableMap<String, QuantizedModule> modules) {}
      };

  /** What is done to make it fit, for people. */
  public Optional<String> note() {
    return switch (states) {
      case DEVICE ->
          activations == Activations.COMPUTED_AGAIN
              ? Optional.of(
                  "wide activations are computed twice, for there is no room to keep them")
              : Optional.empty();
      case HOST -> Optional.of("hidden states lie in the machine's memory" + AGAIN);
      case FILES -> Optional.of("hidden states lie in files beside the output" + AGAIN);
    };
  }

  /**
   * That with {@linkplain Activations activations} kept, or where this takes more than there is
   * room for, with those computed again if they then take less. Weights come {@linkplain
   * Weights#AHEAD ahead} where the backend copies beside its work and there is room. Where none of
   * this fits, hidden states leave the device.
   *
   * @param room bytes of tensors that the backend has room for
   * @param states where hidden states are to lie; if empty, on the device if that is possible
   */
  public static Forecast within(
      long room,
      Backend backend,
      DecoderSpec spec,
      Function<Backend, WeightSource> weights,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      Optional<HiddenStates> states) {
    Rehearsals rehearsals =
        (activations, where) -> of(backend, spec, weights, settings, windows, activations, where);
    Forecast kept = rehearsals.of(Activations.KEPT, states.orElse(HiddenStates.DEVICE));
    if (kept.memory().tensors() <= room || windows.isEmpty()) {
      return backend.copiesBesideWork()
          ? kept.within(
              room, bytesAhead(spec, weights.apply(backend)) + CodesAside.bytes(spec, settings))
          : kept;
    }
    if (kept.states() != HiddenStates.DEVICE) {
      return kept;
    }
    Forecast again = rehearsals.of(Activations.COMPUTED_AGAIN, HiddenStates.DEVICE);
    Forecast less = again.memory().tensors() < kept.memory().tensors() ? again : kept;
    if (less.memory().tensors() <= room || states.isPresent()) {
      return less;
    }
    Forecast elsewhere =
        rehearsals.of(Activations.KEPT, elsewhere(backend, kept.memory().states()));
    return elsewhere.memory().tensors() <= room ? elsewhere : less;
  }

  /** A forecast of one of the ways to do it. */
  @FunctionalInterface
  private interface Rehearsals {
    Forecast of(Activations activations, HiddenStates states);
  }

  /** Where states go that a device has no room for. The memory of a CPU is that of the machine. */
  private static HiddenStates elsewhere(Backend backend, long bytesOfDevice) {
    long bytes = bytesOfDevice * backend.devices();
    return backend.copiesBesideWork() && bytes < MemoryCounts.available().orElse(0) / 2
        ? HiddenStates.HOST
        : HiddenStates.FILES;
  }

  /** Bytes that weights take which come ahead: the largest block's. */
  private static long bytesAhead(DecoderSpec spec, WeightSource source) {
    return spec.blocks().stream()
        .mapToLong(block -> source.bytesToBring(block) * (source.rounds(block) ? 2 : 1))
        .max()
        .orElse(0);
  }

  /**
   * The same with weights that come ahead, and codes that go meanwhile, if there is room for so
   * many bytes of them and a sixteenth stays free, for what is in pieces too small.
   */
  Forecast within(long room, long bytesAhead) {
    MemoryEstimate with = memory.withWeightsAhead(bytesAhead);
    return with.tensors() <= room - room / 16
        ? new Forecast(with, work, activations, Weights.AHEAD, states)
        : this;
  }

  /**
   * Rehearses a quantization on the backend that would do it: each shape of block once.
   *
   * @param weights the model's weights for a backend; their elements are not read
   */
  public static Forecast of(
      Backend backend,
      DecoderSpec spec,
      Function<Backend, WeightSource> weights,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      Activations activations,
      HiddenStates states) {
    return of(
        backend,
        spec,
        weights,
        settings,
        windows,
        activations,
        states,
        Dealing.batchTokens(spec, windows));
  }

  /** The same with that many calibration tokens, or one window, going through a block together. */
  static Forecast of(
      Backend backend,
      DecoderSpec spec,
      Function<Backend, WeightSource> weights,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      Activations activations,
      HiddenStates states,
      int batchTokens) {
    DistinctBlocks distinct = DistinctBlocks.of(spec, settings);
    ImmutableList<BlockSpec> blocks = distinct.blocks();
    try (Rehearsal rehearsal = backend.rehearsal()) {
      List<Work> done = new ArrayList<>();
      JobListener listener =
          new JobListener() {
            @Override
            public void block(int index, int count) {
              done.add(rehearsal.work());
            }

            @Override
            public void module(ModuleReport report) {}
          };
      new QuantizationJob(
              rehearsal,
              spec.withBlocks(blocks),
              weights.apply(rehearsal),
              settings,
              windows,
              NOTHING_KEPT,
              listener)
          .with(activations)
          .with(states, Path.of(""))
          .withBatches(batchTokens)
          .run();
      done.add(rehearsal.work());
      Work work = done.getFirst();
      for (int i = 0; i < blocks.size(); i++) {
        Work block = done.get(i + 1).plus(done.get(i).times(-1));
        work = work.plus(block.times(distinct.times().get(i)));
      }
      int lanes = Dealing.lanes(backend, spec);
      return new Forecast(
          MemoryEstimate.of(
              rehearsal.memory().peak(),
              backend.activationType(),
              spec,
              settings,
              states,
              new Dealing(lanes * backend.devices()).tokensOfFirst(lanes, windows, batchTokens)),
          work,
          activations,
          Weights.IN_TURN,
          states);
    }
  }
}
