package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.Work;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * What a quantization will take, by a {@link Rehearsal} of it.
 *
 * @param memory of the backend
 * @param work for all blocks
 * @param activations with which that is so
 * @param weights when those come with which that is so
 * @param places where hidden states are with which that is so
 * @param files bytes of those in files, the most at a time
 */
public record Forecast(
    MemoryEstimate memory,
    Work work,
    Activations activations,
    Weights weights,
    StatePlaces places,
    long files) {
  private static final String AGAIN =
      ", from where each batch goes through a block again for each group of layers";

  private static final BlockStore NOTHING_KEPT =
      new BlockStore() {
        @Override
        public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
          return Optional.empty();
        }

        @Override
        public BlockSink begin(int block) {
          return NOWHERE;
        }
      };

  private static final BlockSink NOWHERE =
      new BlockSink() {
        @Override
        public void add(List<QuantizedModule> modules) {}

        @Override
        public void finish() {}

        @Override
        public void close() {}
      };

  /** What is done to make it fit, for people. */
  public Optional<String> note() {
    List<String> parts = new ArrayList<>();
    switch (places.states()) {
      case DEVICE -> {
        if (activations == Activations.COMPUTED_AGAIN) {
          parts.add("wide activations are computed twice, for there is no room to keep them");
        }
        if (places.borders() != HiddenStates.DEVICE) {
          parts.add(BorderChoice.note(places.borders()));
        }
      }
      case HOST, FILES -> parts.add("hidden states lie " + places.states().place() + AGAIN);
    }
    return parts.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", parts));
  }

  /**
   * That with {@linkplain Activations activations} kept, or where this takes more than there is
   * room for, with those computed again if they then take less. Weights come {@linkplain
   * Weights#AHEAD ahead} where the backend copies beside its work and there is room. Where none of
   * this fits, hidden states leave the device: first, since it costs least, those of a backward
   * pass.
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
        (activations, places) -> of(backend, spec, weights, settings, windows, activations, places);
    UnaryOperator<Forecast> ahead =
        fitting ->
            backend.copiesBesideWork()
                ? fitting.within(
                    room,
                    bytesAhead(spec, weights.apply(backend)) + CodesAside.bytes(spec, settings))
                : fitting;
    HiddenStates first = states.orElse(HiddenStates.DEVICE);
    Forecast kept = rehearsals.of(Activations.KEPT, StatePlaces.all(first));
    if (kept.fits(room) || windows.isEmpty()) {
      return ahead.apply(kept);
    }
    if (first != HiddenStates.DEVICE) {
      return kept;
    }
    long borders = settings.needsGradients() ? bytesOfBorders(backend, spec, windows) : 0;
    if (borders > 0 && states.isEmpty()) {
      HiddenStates where = BorderChoice.elsewhere(backend, borders);
      Forecast aside = rehearsals.of(Activations.KEPT, new StatePlaces(HiddenStates.DEVICE, where));
      if (aside.fits(room)) {
        return ahead.apply(aside);
      }
      kept = smaller(aside, kept);
    }
    Forecast less = smaller(rehearsals.of(Activations.COMPUTED_AGAIN, kept.places()), kept);
    if (less.fits(room) || states.isPresent()) {
      return less;
    }
    long bytes = kept.memory().states() * backend.devices() + borders;
    Forecast elsewhere =
        rehearsals.of(Activations.KEPT, StatePlaces.all(BorderChoice.elsewhere(backend, bytes)));
    return elsewhere.fits(room) ? elsewhere : less;
  }

  private boolean fits(long room) {
    return memory.tensors() <= room;
  }

  private static Forecast smaller(Forecast one, Forecast other) {
    return one.memory().tensors() < other.memory().tensors() ? one : other;
  }

  /** A forecast of one of the ways to do it. */
  @FunctionalInterface
  private interface Rehearsals {
    Forecast of(Activations activations, StatePlaces places);
  }

  private static long files(
      Backend backend,
      DecoderSpec spec,
      QuantizationSettings settings,
      ImmutableList<int[]> windows,
      StatePlaces places) {
    long states = HiddenStates.bytes(spec, settings, windows, backend.activationType());
    return (places.states() == HiddenStates.FILES ? states : 0)
        + (places.borders() == HiddenStates.FILES && settings.needsGradients() && !windows.isEmpty()
            ? bytesOfBorders(backend, spec, windows)
            : 0);
  }

  /** Bytes of what one backward pass of a quantization keeps between blocks. */
  private static long bytesOfBorders(
      Backend backend, DecoderSpec spec, ImmutableList<int[]> windows) {
    List<int[]> batch = Perplexity.batches(windows, Dealing.batchTokens(spec, windows)).getFirst();
    return BorderRoom.bytes(spec, batch, backend.activationType());
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
        ? new Forecast(with, work, activations, Weights.AHEAD, places, files)
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
      StatePlaces places) {
    return of(
        backend,
        spec,
        weights,
        settings,
        windows,
        activations,
        places,
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
      StatePlaces places,
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
          .with(places, Path.of(""))
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
              places.states(),
              new Dealing(lanes * backend.devices()).tokensOfFirst(lanes, windows, batchTokens)),
          work,
          activations,
          Weights.IN_TURN,
          places,
          files(backend, spec, settings, windows, places));
    }
  }
}
