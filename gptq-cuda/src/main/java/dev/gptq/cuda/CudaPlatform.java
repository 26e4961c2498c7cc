package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.BackendOptions;
import dev.gptq.cuda.driver.Begun;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaFolders;
import dev.gptq.cuda.driver.CudaUnavailableException;
import dev.gptq.cuda.driver.DriverStart;
import dev.gptq.cuda.driver.MathLibrary;
import dev.gptq.cuda.driver.NativeCudaBlas;
import dev.gptq.cuda.driver.NativeCudaDriver;
import dev.gptq.cuda.driver.NativeCudaSolver;
import dev.gptq.cuda.driver.NativeLibrary;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What the backend needs of a machine, found and checked in the order in which people install it:
 * driver, device, libraries, kernels.
 *
 * @param driver the initialised driver
 * @param devices the chosen GPUs, all of one model
 * @param blas cuBLAS
 * @param solver cuSOLVER
 * @param compiler the run-time compiler, needed only if the jar was built without nvcc
 */
record CudaPlatform(
    CudaDriver driver,
    ImmutableList<CudaDevice> devices,
    NativeLibrary blas,
    NativeLibrary solver,
    Optional<NativeLibrary> compiler) {

  /**
   * Looks for everything. The libraries, which are large, are loaded while the driver starts.
   *
   * @throws CudaUnavailableException naming the first thing that is absent or too old
   */
  static CudaPlatform find(BackendOptions options) {
    DriverStart start = DriverStart.begin();
    ImmutableList<Path> folders = CudaFolders.of(options, System.getenv());
    Begun<NativeLibrary> blas = Begun.of("gptq-cuda-cublas", () -> NativeCudaBlas.library(folders));
    Begun<NativeLibrary> solver =
        Begun.of("gptq-cuda-cusolver", () -> NativeCudaSolver.library(folders));
    CudaDriver driver = NativeCudaDriver.open(start);
    ImmutableList<CudaDevice> devices = CudaDevice.find(driver, options.devices());
    CudaPlatform platform =
        new CudaPlatform(
            driver, devices, blas.result(), solver.result(), MathLibrary.NVRTC.find(folders));
    if (!KernelImages.areBuiltIn() && platform.compiler().isEmpty()) {
      throw new CudaUnavailableException(
          "this gptq-cuda jar was built without nvcc, and NVRTC was not found to compile its"
              + " kernels now",
          "Install CUDA's run-time compiler (libnvrtc), name its folder by CUDA_HOME or the"
              + " setting "
              + CudaFolders.SETTING
              + ", or build the jar where nvcc is installed");
    }
    return platform;
  }

  /** The first GPU. */
  CudaDevice device() {
    return devices.getFirst();
  }

  /** Facts for reports, of each GPU. */
  ImmutableMap<String, String> features() {
    CudaDevice device = device();
    return ImmutableMap.<String, String>builder()
        .put("capability", device.capability())
        .put("multiprocessors", Integer.toString(device.multiprocessors()))
        .put("memory", (device.memory() >> 20) + " MiB")
        .put("driver", "CUDA " + CudaDevice.version(driver))
        .put("cuBLAS", MathLibrary.CUBLAS.version(blas))
        .put("cuSOLVER", MathLibrary.CUSOLVER.version(solver))
        .put("kernels", KernelImages.areBuiltIn() ? "built in" : "compiled at run time")
        .buildOrThrow();
  }
}
