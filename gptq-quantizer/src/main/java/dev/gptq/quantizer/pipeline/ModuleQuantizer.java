package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Block;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.pipeline.ModuleSolve.Solved;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Quantizes the linear layers of one block and puts the quantized weights in their place, on all
 * devices.
 */
final class ModuleQuantizer {
  private final DeviceGroup devices;
  private final List<BlockShare> shares;
  private final QuantizationSettings settings;
  private final int layer;
  private final Consumer<Solved> modules;

  /** Those that were being packed when it was last looked, while the device goes on. */
  private final List<Solved> beingPacked = new ArrayList<>();

  /**
   * For one block.
   *
   * @param modules takes those that have been solved and will stay as they are
   */
  ModuleQuantizer(
      DeviceGroup devices,
      List<BlockShare> shares,
      QuantizationSettings settings,
      int layer,
      Consumer<Solved> modules) {
    this.devices = devices;
    this.shares = shares;
    this.settings = settings;
    this.layer = layer;
    this.modules = modules;
  }

  /** Waits until no more codes than {@link QuantizationJob#waitingCodes} are left to be packed. */
  private void awaitPacking() {
    beingPacked.removeIf(module -> module.packed().isDone());
    long bytes = beingPacked.stream().mapToLong(ModuleQuantizer::codes).sum();
    for (Solved module : beingPacked) {
      if (bytes <= QuantizationJob.waitingCodes()) {
        return;
      }
      module.packed().join();
      bytes -= codes(module);
    }
  }

  private static long codes(Solved module) {
    return (long) module.report().rows() * module.report().columns();
  }

  /** A group with those of its modules that are to be quantized. */
  private record Task(CalibratedGroup calibrated, List<LinearSpec> selected) {
    Optional<Hessian> hessian() {
      return calibrated.statistics().map(InputStatistics::hessian);
    }
  }

  /**
   * Quantizes the selected modules of groups that know nothing of each other, side by side, each
   * group where it is at home.
   */
  void quantize(List<CalibratedGroup> groups, JobListener listener) {
    List<Task> tasks =
        groups.stream()
            .map(group -> new Task(group, selected(group)))
            .filter(task -> !task.selected().isEmpty())
            .toList();
    tasks.forEach(task -> tell(task, listener));
    awaitPacking();
    List<List<ImmutableList<Solved>>> results =
        shares.stream().<List<ImmutableList<Solved>>>map(share -> new ArrayList<>()).toList();
    devices.all((device, backend) ->
        shares.get(device).lanes().run(solves(device, tasks), results.get(device)::add));
    if (devices.first().devices() > 1) {
      devices.all((device, backend) -> receive(device, backend, tasks));
    }
    int[] next = new int[shares.size()];
    for (Task task : tasks) {
      int home = task.calibrated().home();
      if (home < shares.size()) {
        results.get(home).get(next[home]++).forEach(module -> keep(module, listener));
      }
    }
  }

  private List<LinearSpec> selected(CalibratedGroup group) {
    return group.group().modules().stream()
        .filter(m -> settings.selection().test(block(0).spec().nameOf(m)))
        .toList();
  }

  private Block block(int device) {
    return shares.get(device).block();
  }

  private static List<Task> at(int device, List<Task> tasks) {
    return tasks.stream().filter(task -> task.calibrated().home() == device).toList();
  }

  private void tell(Task task, JobListener listener) {
    task.hessian()
        .filter(hessian -> hessian.tokens() > 0)
        .ifPresent(hessian ->
            devices.on(
                task.calibrated().home(),
                backend -> {
                  listener.calibrated(layer, task.calibrated().group(), hessian);
                  return backend;
                }));
  }

  private List<Function<Backend, ImmutableList<Solved>>> solves(int device, List<Task> tasks) {
    Function<Backend, GroupSolver> solver = shares.get(device).solver();
    return at(device, tasks).stream()
        .<Function<Backend, ImmutableList<Solved>>>map(
            task -> lane -> solver.apply(lane).solve(task.selected(), task.calibrated()))
        .toList();
  }

  /** Takes the weights that other devices have quantized; members of a device share them. */
  private void receive(int device, Backend backend, List<Task> tasks) {
    if (devices.firstOf(device) != device) {
      return;
    }
    for (Task task : tasks) {
      int home = task.calibrated().home();
      if (home < shares.size() && !devices.shareMemory(home, device)) {
        for (LinearSpec module : task.selected()) {
          backend.receive(block(home).dense(module), block(device).dense(module));
        }
      }
    }
  }

  private void keep(Solved module, JobListener listener) {
    beingPacked.add(module);
    modules.accept(module);
    listener.module(module.report());
  }

  /** Puts a module that was quantized earlier in its place. */
  void restore(QuantizedModule restored) {
    devices.all((device, backend) -> {
      if (devices.firstOf(device) != device) {
        return;
      }
      Block block = block(device);
      LinearSpec module =
          block
              .spec()
              .linears()
              .filter(m -> block.spec().nameOf(m).equals(restored.report().name()))
              .findFirst()
              .orElseThrow();
      block.substitute(module, restored.packed());
    });
  }
}
