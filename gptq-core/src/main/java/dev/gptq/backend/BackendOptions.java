package dev.gptq.backend;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Ints;

/**
 * What a user may ask of a backend.
 *
 * @param threads worker threads of a CPU backend
 * @param device index of the GPU
 * @param settings options of a single backend by name, such as {@code cuda.home}
 */
public record BackendOptions(int threads, int device, ImmutableMap<String, String> settings) {

  /** Checks the ranges. */
  public BackendOptions {
    Preconditions.checkArgument(threads > 0, "threads must be positive but is %s", threads);
    Preconditions.checkArgument(device >= 0, "device must not be negative but is %s", device);
  }

  /** All processors of this machine, the first GPU. */
  public static BackendOptions defaults() {
    return new BackendOptions(Runtime.getRuntime().availableProcessors(), 0, ImmutableMap.of());
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
    return new BackendOptions(count, device, settings);
  }
}
