package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaUnavailableException;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A GPU that the backend can use.
 *
 * @param index its number
 * @param name its name
 * @param major compute capability, before the point
 * @param minor compute capability, after the point
 * @param multiprocessors number of multiprocessors
 * @param sharedMemory bytes of shared memory that a block can have
 * @param memory bytes of device memory
 */
record CudaDevice(
    int index,
    String name,
    int major,
    int minor,
    int multiprocessors,
    int sharedMemory,
    long memory) {
  private static final int OLDEST_DRIVER = 12000;
  private static final int OLDEST_CAPABILITY = 8;

  /**
   * The device of that number.
   *
   * @throws CudaUnavailableException if it is absent, or it or its driver is too old
   */
  static CudaDevice find(CudaDriver driver, int index) {
    if (driver.version() < OLDEST_DRIVER) {
      throw new CudaUnavailableException(
          "the NVIDIA driver supports CUDA "
              + version(driver)
              + " but 12.0 is the oldest that will do",
          "Update the NVIDIA driver to version 525 or newer");
    }
    int count = driver.devices();
    if (index >= count) {
      throw new CudaUnavailableException(
          "there is no GPU " + index + ": the NVIDIA driver sees " + count,
          "Choose another with --devices, or check CUDA_VISIBLE_DEVICES");
    }
    CudaDevice device =
        new CudaDevice(
            index,
            driver.deviceName(index),
            driver.attribute(CudaDriver.CAPABILITY_MAJOR, index),
            driver.attribute(CudaDriver.CAPABILITY_MINOR, index),
            driver.attribute(CudaDriver.MULTIPROCESSORS, index),
            driver.attribute(CudaDriver.SHARED_MEMORY, index),
            driver.totalMemory(index));
    if (device.major() < OLDEST_CAPABILITY) {
      throw new CudaUnavailableException(
          device.name() + " has compute capability " + device.capability() + " but 8.0 is needed",
          "Use a GPU of the Ampere generation or newer");
    }
    if (driver.attribute(CudaDriver.MEMORY_POOLS, index) == 0) {
      throw new CudaUnavailableException(
          device.name() + " has no stream-ordered memory pools in this environment",
          "Run outside of the virtualisation that disables them");
    }
    return device;
  }

  /**
   * The devices of those numbers, of which all compute the same bits; for none the first and all
   * that are like it.
   *
   * @throws CudaUnavailableException if one is absent, too old, or not like the first
   */
  static ImmutableList<CudaDevice> find(CudaDriver driver, List<Integer> indices) {
    if (indices.isEmpty()) {
      CudaDevice first = find(driver, 0);
      return IntStream.range(0, driver.devices())
          .filter(index -> index == 0 || first.isLike(driver, index))
          .mapToObj(index -> find(driver, index))
          .collect(ImmutableList.toImmutableList());
    }
    ImmutableList<CudaDevice> devices =
        indices.stream().map(index -> find(driver, index)).collect(ImmutableList.toImmutableList());
    CudaDevice first = devices.getFirst();
    for (CudaDevice device : devices) {
      if (!first.isLike(driver, device.index())) {
        throw new CudaUnavailableException(
            "GPU "
                + device.index()
                + " is another model ("
                + device.name()
                + ") than GPU "
                + first.index()
                + " ("
                + first.name()
                + "), so that they would not compute the same bits",
            "Name GPUs of one model with --devices");
      }
    }
    return devices;
  }

  private boolean isLike(CudaDriver driver, int other) {
    return driver.deviceName(other).equals(name)
        && driver.attribute(CudaDriver.CAPABILITY_MAJOR, other) == major
        && driver.attribute(CudaDriver.CAPABILITY_MINOR, other) == minor
        && driver.attribute(CudaDriver.MULTIPROCESSORS, other) == multiprocessors;
  }

  /** The driver's CUDA version as people write it. */
  static String version(CudaDriver driver) {
    return driver.version() / 1000 + "." + driver.version() % 1000 / 10;
  }

  /**
   * Whether products of bfloat16 are more than six times as fast as those of float32: on the GPUs
   * of data centers (8.0, 9.0, 10.0), not on those for graphics.
   */
  boolean hasFastTensorCores() {
    return minor == 0 && (major == 8 || major == 9 || major == 10);
  }

  /** Compute capability as people write it. */
  String capability() {
    return major + "." + minor;
  }
}
