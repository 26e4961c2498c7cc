package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Sums over calibration batches that lie on several devices. Each lane of a {@link Dealing} is
 * summed on one device; then the sums of lanes are added, in their order, where their group is at
 * home. As many lanes as there are devices are summed at a time, so that each device holds one sum
 * of each group beside those that are at home there.
 */
final class DealtSums {

  /** What a sum begins with. */
  @FunctionalInterface
  interface Empty {
    InputStatistics of(int group, Backend backend, TensorScope scope);
  }

  /** Adds the batches of a lane, on the device that has them, to one sum for each group. */
  @FunctionalInterface
  interface Lane {
    void add(int device, int lane, List<InputStatistics> sums);
  }

  private final DeviceGroup devices;
  private final Dealing dealing;
  private final DeviceScopes scopes;
  private final int groups;

  /**
   * Sums in the memory of scopes.
   *
   * @param groups number of sums
   */
  DealtSums(DeviceGroup devices, DeviceScopes scopes, int groups) {
    this.devices = devices;
    this.dealing = new Dealing(devices.size());
    this.scopes = scopes;
    this.groups = groups;
  }

  /**
   * The sums of all lanes, of each group where it is at home; a rehearsal has those of its device.
   * Hessians are whole matrices, for lanes that will read them.
   */
  List<Optional<InputStatistics>> of(int lanes, Empty empty, Lane lane) {
    InputStatistics[] totals = new InputStatistics[groups];
    for (int first = 0; first < lanes; first += devices.size()) {
      int count = Math.min(devices.size(), lanes - first);
      add(first, count, first + count == lanes, totals, empty, lane);
    }
    return IntStream.range(0, groups).mapToObj(g -> Optional.ofNullable(totals[g])).toList();
  }

  /** Sums some lanes, one on each device, and adds them to the totals. */
  private void add(
      int first, int count, boolean last, InputStatistics[] totals, Empty empty, Lane lane) {
    List<List<InputStatistics>> sums =
        new ArrayList<>(Collections.nCopies(devices.size(), List.of()));
    try (DeviceScopes local = new DeviceScopes(devices)) {
      devices.all((device, backend) -> {
        for (int group = 0; group < groups && first == 0; group++) {
          if (dealing.home(group) == device) {
            totals[group] = empty.of(group, backend, scopes.of(device, backend));
          }
        }
        if (device < count) {
          sums.set(device, starts(first + device, device, backend, local, totals, empty));
          lane.add(device, first + device, sums.get(device));
        }
      });
      devices.all((device, backend) -> {
        for (int group = 0; group < groups; group++) {
          if (dealing.home(group) != device) {
            continue;
          }
          for (int from = 0; from < count; from++) {
            // In a rehearsal the others' sums are not there, but as large as its own.
            List<InputStatistics> there = sums.get(sums.get(from).isEmpty() ? device : from);
            if (first + from > 0 || from != device) {
              totals[group].add(there.get(group), !devices.shareMemory(from, device));
            }
          }
          if (last) {
            totals[group].hessian().matrix();
          }
        }
      });
    }
  }

  /** What the sums of a lane begin with. The first lane is summed in the totals where it may be. */
  private List<InputStatistics> starts(
      int lane,
      int device,
      Backend backend,
      DeviceScopes local,
      InputStatistics[] totals,
      Empty empty) {
    return IntStream.range(0, groups)
        .mapToObj(group ->
            lane == 0 && dealing.home(group) == device
                ? totals[group]
                : empty.of(group, backend, local.of(device, backend)))
        .toList();
  }
}
