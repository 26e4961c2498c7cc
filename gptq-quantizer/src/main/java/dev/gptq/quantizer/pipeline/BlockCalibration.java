package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;

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
  private final int batches;
  private final Target.Kind target;
  private final Activations activations;
  private final Function<Step.Linears, Optional<GroupCurvature>> curvature;
  private final List<Step> steps;
  private int reached;

  /**
   * A calibration.
   *
   * @param shares of the devices
   * @param batches number of batches of all devices
   * @param curvature what the loss of the whole model says about groups, if gradients were taken
   */
  BlockCalibration(
      DeviceGroup devices,
      List<BlockShare> shares,
      int batches,
      Target.Kind target,
      Activations activations,
      Function<Step.Linears, Optional<GroupCurvature>> curvature) {
    this.devices = devices;
    this.shares = shares;
    this.batches = batches;
    this.target = target;
    this.activations = activations;
    this.curvature = curvature;
    this.steps = shares.getFirst().block().spec().steps();
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
      sequential(stretches.subList(first, end), quantize);
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
    run((share, batch) -> {
      for (int s = 0; s < at.length; s++) {
        share.run(batch, at[s], wave.get(s).to());
      }
    });
    reached = wave.getLast().to();
  }

  /** Whether copies go ahead to a group, since the inputs of all tokens would take much room. */
  private boolean goesAhead(Stretch stretch, int index) {
    int inputs = ((Step.Linears) steps.get(index)).modules().getFirst().inputs();
    return activations == Activations.COMPUTED_AGAIN
        && !stretch.isExpert()
        && all().anyMatch(batch -> inputs > batch.registers().get(Step.RESIDUAL).columns());
  }

  /** Takes the batches to groups and adds what they bring there. */
  private List<CalibratedGroup> calibrate(List<Approach> approaches, DeviceScopes scopes) {
    List<Integer> groups = approaches.stream().map(Approach::group).toList();
    if (batches == 0) {
      return calibrated(
          groups, groups.stream().map(g -> Optional.<InputStatistics>empty()).toList());
    }
    return calibrated(
        groups,
        sums(
            groups,
            scopes,
            (share, batch, sums) -> {
              for (int i = 0; i < groups.size(); i++) {
                approach(share, batch, approaches.get(i), sums.get(i));
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
              batches == 0 ? Optional.empty() : curvature.apply(group));
        })
        .toList();
  }

  /** What a batch adds to the sums of groups. */
  @FunctionalInterface
  private interface Adding {
    void add(BlockShare share, CalibrationBatch batch, List<InputStatistics> sums);
  }

  private List<Optional<InputStatistics>> sums(
      List<Integer> groups, DeviceScopes scopes, Adding adding) {
    return new DealtSums(devices, scopes, groups.size())
        .of(
            Dealing.lanes(batches),
            (group, backend, scope) ->
                InputStatistics.of(backend, steps, groups.get(group), target, scope),
            (device, lane, sums) -> {
              BlockShare share = shares.get(device);
              for (CalibrationBatch batch : share.batches()) {
                if (Dealing.laneOf(batch.number()) == lane) {
                  adding.add(share, batch, sums);
                }
              }
            });
  }

  /** Takes a batch, or a copy of it, to a group and adds what it brings there. */
  private void approach(
      BlockShare share, CalibrationBatch batch, Approach approach, InputStatistics sums) {
    if (!approach.ahead()) {
      share.run(batch, approach.from(), approach.group());
      add(share, batch, approach.group(), sums);
      return;
    }
    try (TensorScope local = share.backend().newScope();
        CalibrationBatch copy = batch.copy(local)) {
      share.run(copy, approach.from(), approach.group());
      add(share, copy, approach.group(), sums);
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

  private Stream<CalibrationBatch> all() {
    return shares.stream().map(BlockShare::batches).flatMap(Collection::stream);
  }

  private long rows(Step.Gather gather) {
    return all().mapToLong(batch -> batch.registers().rows(gather)).sum();
  }

  private long tokens() {
    return all().mapToLong(b -> b.registers().get(Step.RESIDUAL).rows()).sum();
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
    List<Integer> groups = together.stream().flatMap(Collection::stream).toList();
    try (DeviceScopes local = new DeviceScopes(devices)) {
      List<CalibratedGroup> calibrated =
          calibrated(
              groups,
              sums(groups, local, (share, batch, sums) -> trial(share, batch, groups, sums)));
      int from = 0;
      for (List<Integer> some : together) {
        quantize.accept(calibrated.subList(from, from + some.size()));
        from += some.size();
      }
    }
  }

  /**
   * Takes a copy of the residual stream through the block and adds what it brings to all groups.
   */
  private void trial(
      BlockShare share, CalibrationBatch batch, List<Integer> groups, List<InputStatistics> sums) {
    try (TensorScope run = share.backend().newScope();
        Registers registers = residual(share.backend(), batch.registers(), run)) {
      Optional<Registers> full = batch.full().map(f -> residual(share.backend(), f, run));
      CalibrationBatch trial = batch.with(registers, full);
      int from = 0;
      for (int i = 0; i < steps.size(); i++) {
        int at = groups.indexOf(i);
        if (at >= 0) {
          share.run(trial, from, i);
          add(share, trial, i, sums.get(at));
          from = i;
        }
      }
    }
  }

  /** A copy of the residual stream and what else the block reads of earlier ones. */
  private Registers residual(Backend backend, Registers of, TensorScope scope) {
    Registers copy = new Registers(backend, scope);
    Tensor x = of.get(Step.RESIDUAL);
    copy.define(Step.RESIDUAL, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
    for (String name : shares.getFirst().block().spec().needs()) {
      Tensor kept = of.get(name);
      copy.define(name, kept.rows(), kept.columns(), y -> backend.linalg().convert(kept, y));
    }
    return copy;
  }

  /** Takes the batches to the end of the block. */
  void finish() {
    run((share, batch) -> share.run(batch, reached, steps.size()));
  }

  /** Does something with each batch, where it lies. */
  private void run(BiConsumer<BlockShare, CalibrationBatch> work) {
    devices.all((device, backend) -> {
      BlockShare share = shares.get(device);
      share.batches().forEach(batch -> work.accept(share, batch));
    });
  }
}
