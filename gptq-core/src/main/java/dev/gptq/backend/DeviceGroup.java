package dev.gptq.backend;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.function.Function;

/**
 * The devices of a backend, each with a thread and memory of its own; the first is the backend
 * itself on the thread that made the group. Work goes from step to step: in each all devices work
 * side by side, and what one of them wrote others may read in the next.
 *
 * <p>A rehearsal is of the first device only, which never has less to do than another.
 */
public final class DeviceGroup implements AutoCloseable {

  /** What a device does in a step. */
  @FunctionalInterface
  public interface Step {
    /** Does it on the device of that index. */
    void run(int device, Backend backend);
  }

  private final Backend first;
  private final int size;
  private final List<OwnThread> others = new ArrayList<>();

  /** Opens the other devices of a backend, all at the same time. */
  public DeviceGroup(Backend first) {
    this.first = first;
    this.size = first.devices();
    boolean opened = false;
    try {
      for (int i = 1; i < size && !(first instanceof Rehearsal); i++) {
        int index = i;
        others.add(OwnThread.open("gptq-device-" + i, () -> first.newDevice(index)));
      }
      others.stream().map(OwnThread::backend).forEach(OwnThread::result);
      opened = true;
    } finally {
      if (!opened) {
        close();
      }
    }
  }

  /** The backend whose devices these are. */
  public Backend first() {
    return first;
  }

  /** Number of devices that work is dealt to, also in a rehearsal. */
  public int size() {
    return size;
  }

  /**
   * Does something on every device, and waits until all are done. If devices fail, the others are
   * waited for, and the failure of the first of them is thrown.
   */
  public void all(Step step) {
    if (others.isEmpty()) {
      step.run(0, first);
      return;
    }
    List<Future<?>> running = new ArrayList<>();
    for (int i = 0; i < others.size(); i++) {
      int index = i + 1;
      running.add(others.get(i).start(backend -> finished(step, index, backend)));
    }
    try (Holdings all = new Holdings()) {
      running.reversed().forEach(future -> all.add(() -> OwnThread.result(future)));
      all.add(() -> finished(step, 0, first));
    }
  }

  /** Does something on one device, and waits until it is done. */
  public <T> T on(int device, Function<Backend, T> work) {
    return device == 0 ? work.apply(first) : OwnThread.result(others.get(device - 1).submit(work));
  }

  /** What a failed step has queued must not outlive the tensors it was given. */
  private static void finished(Step step, int index, Backend backend) {
    try (Holdings after = new Holdings()) {
      after.add(backend::synchronize);
      after.add(() -> step.run(index, backend));
    }
  }

  /** Closes the other devices. */
  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      others.forEach(device -> all.add(device::close));
      others.clear();
    }
  }
}
