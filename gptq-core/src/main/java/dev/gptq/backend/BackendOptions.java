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
 * @param purpose what the backend is opened for, which chooses what no setting says
 */
public record BackendOptions(
    int threads,
    ImmutableList<Integer> devices,
    ImmutableMap<String, String> settings,
    Purpose purpose) {

  /** What counts where a backend can have the one or the other. */
  public enum Purpose {
    /** Results as exact as they can be: to quantize, and to say how good a model is. */
    MEASURE,
    /** Speed: to continue texts, where no result is compared with another. */
    GENERATE
  }

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

  /** To measure. */
  public BackendOptions(
      int threads, ImmutableList<Integer> devices, ImmutableMap<String, String> settings) {
    this(threads, devices, settings, Purpose.MEASURE);
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

  /** The same for another purpose. */
  public BackendOptions with(Purpose another) {
    return new BackendOptions(threads, devices, settings, another);
  }

  /** The same with another number of threads. */
  public BackendOptions withThreads(int count) {
    return new BackendOptions(count, devices, settings, purpose);
  }
}
