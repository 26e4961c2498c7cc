package dev.gptq.backend;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.primitives.Ints;

/**
 * What a user may ask of a backend.
 *
 * @param threads worker threads of a CPU backend
 * @param devices indices of GPUs, of which the first does what one does alone; none for all that
 *     are like the first of the machine
 * @param settings options of a single backend by name, such as {@code cuda.home}
 */
public record BackendOptions(
    int threads, ImmutableList<Integer> devices, ImmutableMap<String, String> settings) {

  /** Checks the ranges. */
  public BackendOptions {
    Preconditions.checkArgument(threads > 0, "threads must be positive but is %s", threads);
    for (int device : devices) {
      Preconditions.checkArgument(device >= 0, "device must not be negative but is %s", device);
    }
    Preconditions.checkArgument(
        ImmutableSet.copyOf(devices).size() == devices.size(),
        "a device is named twice: %s",
        devices);
  }

  /** With one GPU. */
  public BackendOptions(int threads, int device, ImmutableMap<String, String> settings) {
    this(threads, ImmutableList.of(device), settings);
  }

  /** All processors of this machine, all GPUs. */
  public static BackendOptions defaults() {
    return new BackendOptions(
        Runtime.getRuntime().availableProcessors(), ImmutableList.of(), ImmutableMap.of());
  }

  /** The first of the GPUs. */
  public int device() {
    return devices.isEmpty() ? 0 : devices.getFirst();
  }

  /**
   * A setting that is a positive number.
   *
   * @param otherwise its value if it was not set
   */
  public int positive(String setting, int otherwise) {
    String text = settings.get(setting);
    if (text == null) {
      return otherwise;
    }
    Integer value = Ints.tryParse(text);
    Preconditions.checkArgument(
        value != null && value > 0, "%s must be a positive number but is '%s'", setting, text);
    return value;
  }

  /** The same with another number of threads. */
  public BackendOptions withThreads(int count) {
    return new BackendOptions(count, devices, settings);
  }
}
