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
    Optional<Path> library = HostKernels.library();
    return backend(EmulatedDriver.of(library.orElseThrow()), options);
  }

  static CudaBackend backend(EmulatedDriver driver, BackendOptions options) {
    CudaDevice device = CudaDevice.find(driver, options.device());
    BackendInfo info = new BackendInfo(NAME, device.name(), ImmutableMap.of());
    return CudaBackend.open(options, info, () -> context(driver, options));
  }

  static CudaContext context(EmulatedDriver driver, BackendOptions options) {
    CudaDevice device = CudaDevice.find(driver, options.device());
    return CudaContext.open(
        driver,
        device,
        true,
        () -> new KernelModules(driver, KernelImages.of(device), image -> driver.module()),
        new CudaLibraries(
            stream -> new EmulatedLibraries.Blas(), stream -> new EmulatedLibraries.Solver()));
  }
}
