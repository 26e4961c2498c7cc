package dev.gptq.cuda;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The CUDA backend on a device emulated by the host, for machines without a GPU; modules above use
 * it, too.
 */
public final class EmulatedProvider implements BackendProvider {
  static final String NAME = "emulated cuda";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Availability probe(BackendOptions options) {
    return HostKernels.library().isPresent()
        ? new Availability.Available(0, "host", ImmutableMap.of())
        : new Availability.Unavailable("g++ was not found", "Install g++");
  }

  @Override
  public Backend open(BackendOptions options) {
    return open(1, options);
  }

  /** Opens a backend with several devices. */
  public static Backend open(int devices, BackendOptions options) {
    Optional<Path> library = HostKernels.library();
    return backend(EmulatedDriver.of(library.orElseThrow()).withDevices(devices), options);
  }

  /** A backend that has all devices of the driver if the options name none. */
  static CudaBackend backend(EmulatedDriver driver, BackendOptions options) {
    CudaDevices devices =
        new CudaDevices(
            CudaDevice.find(driver, options.devices()), device -> context(driver, device));
    BackendInfo info = new BackendInfo(NAME, devices.first().name(), ImmutableMap.of());
    return CudaBackend.open(options, info, devices);
  }

  static CudaContext context(EmulatedDriver driver, BackendOptions options) {
    return context(driver, CudaDevice.find(driver, options.device()));
  }

  private static CudaContext context(EmulatedDriver driver, CudaDevice device) {
    return CudaContext.open(
        driver,
        device,
        false,
        () -> new KernelModules(driver, KernelImages.of(device), image -> driver.module()),
        new CudaLibraries(
            stream -> new EmulatedLibraries.Blas(() -> driver.arrive(stream)),
            stream -> new EmulatedLibraries.Solver(() -> driver.arrive(stream))));
  }
}
