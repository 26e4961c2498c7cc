package dev.gptq.backend;

import com.google.common.base.Preconditions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * The devices of a backend, each with a thread of its own; the first is the backend itself on the
 * thread that made the group. Work goes from step to step: in each all work side by side, and what
 * one of them wrote others may read in the next.
 *
 * <p>A device can be in the group several times: as itself and as {@linkplain Backend#newLane
 * lanes} of it, which share its memory. That pays where a thread cannot queue work as fast as the
 * device does it. The members of the first device come first, then those of the next.
 *
 * <p>A rehearsal is of the first device only, which never has less to do than another.
 */
public final class DeviceGroup implements AutoCloseable {

  /** What a member does in a step. */
  @FunctionalInterface
  public interface Step {
    /** Does it on the member of that index. */
    void run(int device, Backend backend);
  }

  private final Backend first;
  private final int lanes;
  private final int size;

  /** All but the first; none in a rehearsal. */
  private final OwnThread[] members;

  /** What was {@linkplain #begin begun} since the last step. */
  private final List<Future<?>> begun = new ArrayList<>();

  /** Opens the other devices of a backend, all at the same time. */
  public DeviceGroup(Backend first) {
    this(first, 1);
  }

  /**
   * The same with each device as several members.
   *
   * @param lanes times that each device is in the group
   */
  public DeviceGroup(Backend first, int lanes) {
    Preconditions.checkArgument(lanes > 0, "%s lanes", lanes);
    this.first = first;
    this.lanes = lanes;
    this.size = Math.multiplyExact(first.devices(), lanes);
    this.members = new OwnThread[size];
    boolean opened = false;
    try {
      if (!(first instanceof Rehearsal)) {
        open();
      }
      opened = true;
    } finally {
      if (!opened) {
        close();
      }
    }
  }

  private void open() {
    for (int i = 1; i < first.devices(); i++) {
      int index = i;
      members[i * lanes] = OwnThread.open("gptq-device-" + i, () -> first.newDevice(index));
    }
    awaitOpened();
    for (int i = 0; i < size; i++) {
      if (i % lanes != 0) {
        int home = firstOf(i);
        Backend device = home == 0 ? first : members[home].backend().resultNow();
        members[i] = OwnThread.open("gptq-member-" + i, device::newLane);
      }
    }
    awaitOpened();
  }

  private void awaitOpened() {
    for (OwnThread member : members) {
      if (member != null) {
        OwnThread.result(member.backend());
      }
    }
  }

  /** The backend whose devices these are. */
  public Backend first() {
    return first;
  }

  /** Number of members that work is dealt to, also in a rehearsal. */
  public int size() {
    return size;
  }

  /** Times that each device is in the group. */
  public int lanes() {
    return lanes;
  }

  /** The first member that is the same device. */
  public int firstOf(int device) {
    return device - device % lanes;
  }

  /** Whether two members are the same device, so that either may use what the other has. */
  public boolean shareMemory(int one, int other) {
    return firstOf(one) == firstOf(other);
  }

  /**
   * Does something on every member, and waits until all are done. If some fail, the others are
   * waited for, and the failure of the first of them is thrown.
   */
  public void all(Step step) {
    if (first instanceof Rehearsal rehearsal) {
      rehearsal.sideBySide(
          IntStream.range(0, lanes)
              .<Function<Backend, Integer>>mapToObj(i ->
                  backend -> {
                    step.run(i, backend);
                    return i;
                  })
              .toList(),
          lanes,
          done -> {});
      return;
    }
    if (size == 1) {
      step.run(0, first);
      return;
    }
    List<Future<?>> running = new ArrayList<>();
    for (int i = 1; i < size; i++) {
      int index = i;
      running.add(members[i].start(backend -> finished(step, index, backend)));
    }
    try (Holdings all = new Holdings()) {
      running.reversed().forEach(future -> all.add(() -> OwnThread.result(future)));
      awaitBegun(all);
      all.add(() -> finished(step, 0, first));
    }
  }

  /**
   * Does something on every member without waiting for others than this thread: on each it comes
   * before the next step. A failure is thrown by that step, or by {@link #close}.
   */
  public void begin(Step step) {
    if (first instanceof Rehearsal) {
      all(step);
      return;
    }
    for (int i = 1; i < size; i++) {
      int index = i;
      begun.add(members[i].start(backend -> step.run(index, backend)));
    }
    step.run(0, first);
  }

  /** Waits for what was begun, which a step that was waited for comes after. */
  private void awaitBegun(Holdings all) {
    List.copyOf(begun).reversed().forEach(future -> all.add(() -> OwnThread.result(future)));
    begun.clear();
  }

  /** Does something on one member, and waits until it is done. */
  public <T> T on(int device, Function<Backend, T> work) {
    return members[device] == null
        ? work.apply(first)
        : OwnThread.result(members[device].submit(work));
  }

  /** What a failed step has queued must not outlive the tensors it was given. */
  private static void finished(Step step, int index, Backend backend) {
    try (Holdings after = new Holdings()) {
      after.add(backend::synchronize);
      after.add(() -> step.run(index, backend));
    }
  }

  /** Closes all but the first, lanes before the devices whose they are. */
  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      for (boolean devices : new boolean[] {true, false}) {
        IntStream.range(0, size)
            .filter(i -> devices == (firstOf(i) == i))
            .mapToObj(i -> members[i])
            .filter(Objects::nonNull)
            .forEach(member -> all.add(member::close));
      }
      awaitBegun(all);
    }
  }
}
