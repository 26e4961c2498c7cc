package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.backend.BackendSetting;
import dev.gptq.backend.BackendUnavailableException;
import dev.gptq.cuda.driver.CudaException;
import dev.gptq.cuda.driver.CudaFolders;
import dev.gptq.cuda.driver.CudaUnavailableException;

/** Offers the backend on NVIDIA GPUs of compute capability 8.0 and up. */
public final class CudaBackendProvider implements BackendProvider {
  static final String NAME = "cuda";

  private static final int RANK = 100;

  /** For the service loader. */
  public CudaBackendProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ImmutableList<BackendSetting> settings() {
    return ImmutableList.of(
        BackendSetting.oneOf(CudaBackend.ACTIVATIONS, "bf16", "f32"),
        BackendSetting.positive(CudaBackend.LANES),
        BackendSetting.oneOf(CudaQueue.SYNCHRONOUS, "true", "false"),
        BackendSetting.text(CudaFolders.SETTING, "the folder of a CUDA installation"));
  }

  @Override
  public Availability probe(BackendOptions options) {
    try {
      CudaPlatform platform = CudaPlatform.find(options);
      return new Availability.Available(
          RANK,
          platform.device().name(),
          ImmutableMap.<String, String>builder()
              .put("GPUs", Integer.toString(platform.devices().size()))
              .putAll(platform.features())
              .buildOrThrow());
    } catch (CudaUnavailableException e) {
      return e.unavailable();
    } catch (CudaException e) {
      return busy(e);
    }
  }

  private static Availability.Unavailable busy(CudaException e) {
    return new Availability.Unavailable(
        e.getMessage(), "Check that nvidia-smi works and that no other process holds the GPU");
  }

  @Override
  public Backend open(BackendOptions options) {
    try {
      return CudaBackend.open(CudaPlatform.find(options), options);
    } catch (CudaUnavailableException e) {
      throw new BackendUnavailableException(NAME, e.unavailable());
    } catch (CudaException e) {
      throw new BackendUnavailableException(NAME, busy(e));
    }
  }
}
