package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.DeviceGroup;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.Step;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Takes the calibration batches through one block and gathers the statistics of every group of
 * linear layers on the way. Sequentially, each step of the block is computed once: the batches stop
 * before a group, the group is quantized, and they go on from there with its quantized weights.
 * Before a group with wide inputs copies may go ahead one by one instead, see {@link Activations}.
 * Groups are passed on in lists, of which the members may be quantized side by side.
 *
 * <p>Each device takes the batches that were dealt to it through its own copy of the block.
 */
final class BlockCalibration {
  private final DeviceGroup devices;
  private final List<BlockShare> shares;
  private final List<List<int[]>> windows;
  private final int hidden;
  private final Target.Kind target;
  private final Activations activations;
  private final boolean elsewhere;
  private final Function<Step.Linears, Optional<GroupCurvature>> curvature;
  private final Optional<RehearsedWaves> rehearsed;
  private final List<Step> steps;

  /** Tokens of experts, where batches that wait do not know them. */
  private final Map<Step.Gather, Long> counted = new HashMap<>();

  /** The step that batches have come to; those whose states lie elsewhere stay at the beginning. */
  private int reached;

  /**
   * A calibration.
   *
   * @param shares of the devices
   * @param windows calibration windows, batch by batch
   * @param hidden columns of the residual stream
   * @param states where the hidden states of the batches lie
   * @param curvature what the loss of the whole model says about groups, if gradients were taken
   */
  BlockCalibration(
      DeviceGroup devices,
      List<BlockShare> shares,
      List<List<int[]>> windows,
      int hidden,
      QuantizationSettings settings,
      Activations activations,
      HiddenStates states,
      Function<Step.Linears, Optional<GroupCurvature>> curvature) {
    this.devices = devices;
    this.shares = shares;
    this.windows = windows;
    this.target = settings.target().kind();
    this.activations = activations;
    this.elsewhere = states != HiddenStates.DEVICE;
    this.curvature = curvature;
    this.hidden = hidden;
    BlockSpec spec = shares.getFirst().block().spec();
    this.steps = spec.steps();
    this.rehearsed =
        devices.first() instanceof Rehearsal rehearsal
            ? Optional.of(new RehearsedWaves(rehearsal, spec, settings))
            : Optional.empty();
  }

  /** How the batches come to a group: from a step, themselves or copies of them. */
  private record Approach(int from, int group, boolean ahead) {}

  /**
   * True-sequential: each group sees the earlier groups of its block quantized. Experts, which do
   * not see each other, go together in waves: first the first groups of all, then the next.
   */
  void sequential(Consumer<List<CalibratedGroup>> quantize) {
    List<Stretch> stretches = Stretch.of(steps);
    for (int first = 0; first < stretches.size(); ) {
      int end = ExpertWave.end(stretches, first, steps, this::rows, tokens());
      List<Stretch> wave = stretches.subList(first, end);
      Runnable work = () -> sequential(wave, quantize);
      if (rehearsed.isPresent() && wave.getFirst().isExpert() && !elsewhere) {
        rehearsed.get().run(wave, this::rows, work);
      } else {
        work.run();
      }
      reached = elsewhere ? 0 : wave.getLast().to();
      first = end;
    }
  }

  private void sequential(List<Stretch> wave, Consumer<List<CalibratedGroup>> quantize) {
    int groups = wave.getFirst().groups(steps).size();
    int[] at = wave.stream().mapToInt(Stretch::from).toArray();
    for (int g = 0; g < groups; g++) {
      List<Approach> approaches = new ArrayList<>();
      for (int s = 0; s < at.length; s++) {
        int index = wave.get(s).groups(steps).get(g);
        boolean ahead = goesAhead(wave.get(s), index);
        approaches.add(new Approach(at[s], index, ahead));
        at[s] = ahead ? at[s] : index;
      }
      try (DeviceScopes local = new DeviceScopes(devices)) {
        quantize.accept(calibrate(approaches, local));
      }
    }
    if (elsewhere) {
      return;
    }
    advance((share, batch) -> {
      for (int s = 0; s < at.length; s++) {
        share.run(batch, at[s], wave.get(s).to());
      }
    });
  }

  /** Whether copies go ahead to a group, since the inputs of all tokens would take much room. */
  private boolean goesAhead(Stretch stretch, int index) {
    int inputs = ((Step.Linears) steps.get(index)).modules().getFirst().inputs();
    return elsewhere
        || (activations == Activations.COMPUTED_AGAIN && !stretch.isExpert() && inputs > hidden);
  }

  /** Takes the batches to groups and adds what they bring there. */
  private List<CalibratedGroup> calibrate(List<Approach> approaches, DeviceScopes scopes) {
    List<Integer> groups = approaches.stream().map(Approach::group).toList();
    if (windows.isEmpty()) {
      return calibrated(
          groups, groups.stream().map(g -> Optional.<InputStatistics>empty()).toList());
    }
    return calibrated(
        groups,
        sums(
            groups,
            scopes,
            (share, batch, sums) -> {
              if (elsewhere) {
                batch.ahead(copy -> approach(share, copy, approaches, sums));
              } else {
                for (int i = 0; i < groups.size(); i++) {
                  approach(share, batch, approaches.get(i), sums.get(i));
                }
              }
            }));
  }

  /** Groups with their statistics, each where the sums are. */
  private List<CalibratedGroup> calibrated(
      List<Integer> groups, List<Optional<InputStatistics>> statistics) {
    Dealing dealing = new Dealing(devices.size());
    return IntStream.range(0, groups.size())
        .mapToObj(i -> {
          Step.Linears group = (Step.Linears) steps.get(groups.get(i));
          return new CalibratedGroup(
              group,
              dealing.home(i),
              statistics.get(i),
              windows.isEmpty() ? Optional.empty() : curvature.apply(group));
        })
        .toList();
  }

  /** What a batch adds to the sums of groups. */
  @FunctionalInterface
  private interface Adding {
    void add(BlockShare share, WaitingBatch batch, List<InputStatistics> sums);
  }

  private List<Optional<InputStatistics>> sums(
      List<Integer> groups, DeviceScopes scopes, Adding adding) {
    return new DealtSums(devices, scopes, groups.size())
        .of(
            Dealing.lanes(windows.size()),
            (group, backend, scope) ->
                InputStatistics.of(backend, steps, groups.get(group), target, scope),
            (device, lane, sums) -> {
              BlockShare share = shares.get(device);
              for (WaitingBatch batch : share.batches()) {
                if (Dealing.laneOf(batch.number()) == lane) {
                  adding.add(share, batch, sums);
                }
              }
            });
  }

  /** Takes a batch, or a copy of it, to a group and adds what it brings there. */
  private void approach(
      BlockShare share, WaitingBatch batch, Approach approach, InputStatistics sums) {
    Consumer<CalibrationBatch> way =
        there -> {
          share.run(there, approach.from(), approach.group());
          add(share, there, approach.group(), sums);
        };
    if (approach.ahead()) {
      batch.ahead(way);
    } else {
      batch.advance(way);
    }
  }

  /** Takes a copy from the beginning of the block to groups, and adds what it brings there. */
  private void approach(
      BlockShare share, CalibrationBatch copy, List<Approach> all, List<InputStatistics> sums) {
    share.run(copy, 0, all.getFirst().from());
    for (int i = 0; i < all.size(); i++) {
      share.run(copy, all.get(i).from(), all.get(i).group());
      add(share, copy, all.get(i).group(), sums.get(i));
    }
  }

  private void add(BlockShare share, CalibrationBatch batch, int index, InputStatistics sums) {
    Step.Linears group = (Step.Linears) steps.get(index);
    curvature
        .apply(group)
        .ifPresentOrElse(
            known -> sums.add(share.backend(), batch, group, known),
            () -> sums.add(batch.registers(), batch.full(), group));
  }

  private long rows(Step.Gather gather) {
    if (!counted.containsKey(gather)) {
      count(gather);
    }
    return counted.get(gather);
  }

  /** Counts the tokens of all experts with routes that are known where one begins. */
  private void count(Step.Gather first) {
    List<Step.Gather> gathers =
        shares
            .getFirst()
            .block()
            .spec()
            .steps(Step.Gather.class)
            .filter(gather -> gather.routes().equals(first.routes()))
            .toList();
    Map<Step.Gather, LongAdder> rows = new HashMap<>();
    gathers.forEach(gather -> rows.put(gather, new LongAdder()));
    BiConsumer<BlockShare, CalibrationBatch> count =
        (share, batch) -> rows.forEach((gather, sum) -> sum.add(batch.registers().rows(gather)));
    if (elsewhere) {
      each((share, batch) ->
          batch.ahead(copy -> {
            share.run(copy, 0, steps.indexOf(first));
            count.accept(share, copy);
          }));
    } else {
      advance(count);
    }
    rows.forEach((gather, sum) -> counted.put(gather, sum.sum()));
  }

  private long tokens() {
    return shares.stream()
        .flatMap(share -> share.batches().stream())
        .flatMap(batch -> windows.get(batch.number()).stream())
        .mapToLong(window -> window.length)
        .sum();
  }

  /** All groups see the unquantized block; their statistics are held at the same time. */
  void atOnce(Consumer<List<CalibratedGroup>> quantize) {
    List<List<Integer>> together = new ArrayList<>();
    List<Integer> experts = new ArrayList<>();
    for (Stretch stretch : Stretch.of(steps)) {
      for (int group : stretch.groups(steps)) {
        if (stretch.isExpert()) {
          experts.add(group);
        } else {
          together.add(List.of(group));
        }
      }
    }
    together.add(experts);
    List<Integer> groups = together.stream().flatMap(Collection::stream).sorted().toList();
    List<Approach> approaches = new ArrayList<>();
    for (int i = 0; i < groups.size(); i++) {
      approaches.add(new Approach(i == 0 ? 0 : groups.get(i - 1), groups.get(i), true));
    }
    try (DeviceScopes local = new DeviceScopes(devices)) {
      List<CalibratedGroup> calibrated =
          calibrated(
              groups,
              sums(
                  groups,
                  local,
                  (share, batch, sums) ->
                      batch.ahead(copy -> approach(share, copy, approaches, sums))));
      for (List<Integer> some : together) {
        quantize.accept(some.stream().map(group -> calibrated.get(groups.indexOf(group))).toList());
      }
    }
  }

  /** Takes the batches to the end of the block. */
  void finish() {
    advance((share, batch) -> share.run(batch, reached, steps.size()));
  }

  /** Takes each batch on, where it is worked on. */
  private void advance(BiConsumer<BlockShare, CalibrationBatch> work) {
    each((share, batch) -> batch.advance(there -> work.accept(share, there)));
  }

  /** Does something with each batch on its device. */
  private void each(BiConsumer<BlockShare, WaitingBatch> work) {
    devices.all((device, backend) -> {
      BlockShare share = shares.get(device);
      share.batches().forEach(batch -> work.accept(share, batch));
    });
  }
}
