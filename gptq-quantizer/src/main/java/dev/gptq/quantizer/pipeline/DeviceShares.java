package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.LaneGroup;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Opening;
import dev.gptq.models.forward.Registers;
import dev.gptq.models.forward.RopeTables;
import dev.gptq.models.forward.RopeValues;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.PackingLane;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * What each member of a group has of a quantization: its calibration batches, and tables of
 * positions.
 */
final class DeviceShares implements AutoCloseable {

  /** What one member has, for its thread. */
  private record Share(
      Backend backend,
      TensorScope scope,
      RopeTables ropes,
      WeightSource source,
      LaneGroup lanes,
      List<WaitingBatch> batches) {}

  private final DeviceGroup devices;
  private final DecoderSpec spec;
  private final QuantizationSettings settings;
  private final List<List<int[]>> windows;
  private final StateRoom room;
  private final DeviceScopes scopes;
  private final Share[] shares;
  private final ReadAhead ahead = new ReadAhead();

  /** Of each device that brings weights while it works, at its first member. */
  private final UpcomingWeights[] upcoming;

  /** Of each such device, where {@link CodesAside} serves the model. */
  private final PackingLane[] packing;

  /**
   * Shares without batches yet.
   *
   * @param windows calibration windows, batch by batch
   * @param weights when those of a block come to the devices
   * @param first those of the first block that are on their way, if they come ahead
   * @param room for hidden states that are not on the devices
   */
  DeviceShares(
      DeviceGroup devices,
      DecoderSpec spec,
      WeightSource source,
      QuantizationSettings settings,
      List<List<int[]>> windows,
      Weights weights,
      FirstWeights first,
      StateRoom room) {
    this.devices = devices;
    this.spec = spec;
    this.settings = settings;
    this.windows = windows;
    this.room = room;
    this.scopes = new DeviceScopes(devices);
    this.shares = new Share[devices.size()];
    this.upcoming = new UpcomingWeights[devices.size()];
    this.packing = new PackingLane[devices.size()];
    RopeValues angles = new RopeValues();
    devices.all((device, backend) -> {
      TensorScope scope = scopes.of(device, backend);
      if (weights == Weights.AHEAD && devices.firstOf(device) == device) {
        upcoming[device] =
            (device == 0 ? first.take() : Optional.<UpcomingWeights>empty())
                .orElseGet(() -> new UpcomingWeights(device, backend, spec, source));
        if (CodesAside.serves(spec)) {
          packing[device] = new PackingLane("gptq-packing-" + device, backend);
        }
      }
      shares[device] =
          new Share(
              backend,
              scope,
              new RopeTables(scope, angles),
              source.on(backend),
              // A lane has no others, and the members of a device do what its lanes would.
              new LaneGroup(
                  backend, devices.lanes() > 1 ? 1 : Math.min(LaneGroup.MOST, backend.lanes())),
              new ArrayList<>());
    });
  }

  /** The devices. */
  DeviceGroup devices() {
    return devices;
  }

  /** Whether there are calibration batches. */
  boolean hasBatches() {
    return !shares[0].batches().isEmpty();
  }

  /** Says which block is loaded next: its weights may be on their way until then. */
  void expect(int index) {
    devices.all((device, backend) -> {
      if (upcoming[device] != null) {
        upcoming[device].start(index);
      }
    });
  }

  /** Lets the batches begin as the first block finds them. */
  void embed() {
    try (DeviceScopes local = new DeviceScopes(devices)) {
      Opening[] loaded = new Opening[shares.length];
      devices.all((device, backend) -> {
        if (devices.firstOf(device) == device) {
          Share share = shares[device];
          loaded[device] =
              new Opening(backend, spec, share.source(), share.ropes(), local.of(device, backend));
        }
      });
      devices.all((device, backend) -> {
        Share share = shares[device];
        share.batches().forEach(WaitingBatch::close);
        share.batches().clear();
        int first = devices.firstOf(device);
        Opening opening =
            first == device ? loaded[device] : loaded[first].on(backend, share.ropes());
        deal(
            device,
            (batch, scope) -> {
              Registers registers = new Registers(backend, scope);
              opening.embed(batch, registers, local.of(device, backend));
              return registers;
            });
      });
    }
  }

  /** Makes room for the residual streams of batches, which are yet to be filled. */
  void allocate() {
    devices.all((device, backend) ->
        deal(
            device,
            (batch, scope) -> {
              Registers registers = new Registers(backend, scope);
              int rows = Math.toIntExact(tokens(batch));
              registers.define(Step.RESIDUAL, rows, spec.hidden(), tensor -> {});
              return registers;
            }));
  }

  /** What a batch begins with. */
  @FunctionalInterface
  private interface Beginning {
    Registers of(List<int[]> batch, TensorScope scope);
  }

  /** Gives a device its batches. */
  private void deal(int device, Beginning beginning) {
    Dealing dealing = new Dealing(devices.size());
    int first = 0;
    for (int number = 0; number < windows.size(); number++) {
      List<int[]> batch = windows.get(number);
      if (dealing.deviceOfBatch(number) == device) {
        shares[device].batches().add(waiting(device, number, first, batch, beginning));
      }
      first = Math.addExact(first, Math.toIntExact(tokens(batch)));
    }
  }

  private WaitingBatch waiting(
      int device, int number, int first, List<int[]> windows, Beginning beginning) {
    Backend backend = shares[device].backend();
    if (!room.isElsewhere()) {
      CalibrationBatch batch = begun(number, first, windows, beginning, shares[device].scope());
      return new BatchHere(devices, device, backend, batch);
    }
    try (TensorScope local = backend.newScope()) {
      return new BatchElsewhere(backend, room, begun(number, first, windows, beginning, local));
    }
  }

  private CalibrationBatch begun(
      int number, int first, List<int[]> windows, Beginning beginning, TensorScope scope) {
    Optional<Registers> full =
        settings.needsFullPrecision()
            ? Optional.of(beginning.of(windows, scope))
            : Optional.empty();
    return new CalibrationBatch(number, first, windows.size(), beginning.of(windows, scope), full);
  }

  private static long tokens(List<int[]> batch) {
    return batch.stream().mapToLong(window -> window.length).sum();
  }

  private long tokens() {
    return windows.stream().mapToLong(DeviceShares::tokens).sum();
  }

  /** The residual streams of all batches, in their order. */
  List<KeptRows> states() {
    return Arrays.stream(shares)
        .filter(Objects::nonNull)
        .flatMap(share -> share.batches().stream())
        .sorted(Comparator.comparingInt(WaitingBatch::number))
        .flatMap(WaitingBatch::residuals)
        .toList();
  }

  /** Loads a block on every device, into scopes; the members of a device share the weights. */
  List<BlockShare> load(int index, DeviceScopes scopes) {
    BlockSpec block = spec.blocks().get(index);
    ahead.await();
    WeightSource[] sources = new WeightSource[shares.length];
    Block[] quantized = new Block[shares.length];
    Block[] original = new Block[shares.length];
    devices.all((device, backend) -> {
      if (devices.firstOf(device) == device) {
        Share share = shares[device];
        WeightSource source = arrived(device, index);
        Supplier<Block> load =
            () -> new Block(backend, block, source, share.ropes(), scopes.of(device, backend));
        sources[device] = source;
        quantized[device] = load.get();
        original[device] = settings.needsFullPrecision() ? load.get() : null;
        if (upcoming[device] != null) {
          // What was queued before reads the weights of the block before.
          backend.synchronize();
          upcoming[device].loaded();
        }
      }
    });
    BlockShare[] loaded = new BlockShare[shares.length];
    devices.all((device, backend) -> {
      Share share = shares[device];
      int first = devices.firstOf(device);
      UnaryOperator<Block> here =
          known -> first == device ? known : known.on(backend, share.ropes());
      Block own = here.apply(quantized[first]);
      loaded[device] =
          new BlockShare(
              backend,
              own,
              Optional.ofNullable(original[first]).map(here),
              share.batches(),
              share.lanes(),
              lane ->
                  new GroupSolver(
                      lane, sources[first], settings, index, own, tokens(), packing(device)));
    });
    boolean brings = upcoming[0] != null;
    if (brings && index + 1 < spec.blocks().size()) {
      expect(index + 1);
    }
    if (!(devices.first() instanceof Rehearsal)) {
      // Weights that came ahead are on the devices; those of others are read until the block's end.
      read(index + (brings ? 2 : 1), index - (brings ? 0 : 1));
    }
    return Arrays.stream(loaded).filter(Objects::nonNull).toList();
  }

  /** Begins to read the weights of a block ahead, and lets go of another's, if there are such. */
  private void read(int next, int last) {
    WeightSource source = shares[0].source();
    ahead.start(() -> {
      if (next < spec.blocks().size()) {
        source.readAhead(spec.blocks().get(next));
      }
      if (last >= 0) {
        source.letGo(spec.blocks().get(last));
      }
    });
  }

  private ModuleSolve.Packing packing(int device) {
    return packing[device] == null ? ModuleSolve.Packing.HERE : packing[device]::start;
  }

  /** The source of a block's weights, which knows those that are on the device already. */
  private WeightSource arrived(int device, int index) {
    WeightSource source = shares[device].source();
    return upcoming[device] == null ? source : source.with(upcoming[device].of(index));
  }

  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      all.add(scopes::close);
      all.add(() -> devices.all((device, backend) -> shares[device].lanes().close()));
      Arrays.stream(packing).filter(Objects::nonNull).forEach(lane -> all.add(lane::close));
      Arrays.stream(upcoming).filter(Objects::nonNull).forEach(weights -> all.add(weights::close));
      all.add(ahead::close);
    }
  }
}
