package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.cuda.driver.CudaException;
import dev.gptq.cuda.driver.CudaUnavailableException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.OutOfMemoryException;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import org.junit.jupiter.api.Test;

/** Several devices, on a driver that runs no kernels. */
final class CudaDevicesTest {
  private final EmulatedDriver driver = EmulatedDriver.withoutKernels(64 << 20).withDevices(4);

  private static BackendOptions devices(Integer... indices) {
    return new BackendOptions(1, ImmutableList.copyOf(indices), ImmutableMap.of());
  }

  @Test
  void withoutChoiceAllThatAreLikeTheFirstAreTaken() {
    driver.withOther(2);
    try (Backend backend = EmulatedProvider.backend(driver, BackendOptions.defaults())) {
      assertThat(backend.devices()).isEqualTo(3);
    }
    try (Backend backend = EmulatedProvider.backend(driver, devices(3, 1))) {
      assertThat(backend.devices()).isEqualTo(2);
    }
    try (Backend backend = EmulatedProvider.backend(driver, devices(2))) {
      assertThat(backend.devices()).isEqualTo(1);
    }
  }

  @Test
  void anotherModelOrNoneIsRefused() {
    driver.withOther(2);
    assertThatThrownBy(() -> CudaDevice.find(driver, ImmutableList.of(0, 2)))
        .isInstanceOf(CudaUnavailableException.class)
        .hasMessageContaining("GPU 2 is another model (another) than GPU 0 (host)");
    assertThatThrownBy(() -> CudaDevice.find(driver, ImmutableList.of(0, 4)))
        .isInstanceOf(CudaUnavailableException.class)
        .hasMessageContaining("there is no GPU 4: the NVIDIA driver sees 4");
  }

  private void copies() {
    try (Backend backend = EmulatedProvider.backend(driver, devices(0, 2, 3));
        DeviceGroup group = new DeviceGroup(backend)) {
      Tensor[] tensors = new Tensor[group.size()];
      TensorScope[] scopes = new TensorScope[group.size()];
      float[] found = new float[group.size()];
      group.all((device, own) -> {
        scopes[device] = own.newScope();
        tensors[device] = scopes[device].upload(device + 0.5f, 7);
      });
      group.all((device, own) -> {
        Tensor there = tensors[(device + 1) % tensors.length];
        Tensor here = scopes[device].rowMajor(DType.F32, 1, 2);
        own.receive(there, here);
        found[device] = HostCopies.floats(here)[0];
        if (device == 1) {
          Tensor wide = scopes[device].zeros(DType.F32, 2, 4, Layout.ROW_MAJOR);
          assertThatThrownBy(() -> own.receive(there, wide.columns(0, 2).rows(0, 1).transposed()))
              .isInstanceOf(IllegalArgumentException.class);
          assertThatThrownBy(() -> own.receive(there, there))
              .hasMessageContaining("a tensor of another cuda backend");
        }
      });
      assertThat(found).containsExactly(1.5f, 2.5f, 0.5f);
      group.all((device, own) -> scopes[device].close());
    }
    assertThat(driver.outstanding()).isZero();
  }

  @Test
  void tensorsGoTheDirectWayWhereThereIsOne() {
    copies();
    assertThat(driver.ways()).hasSize(3).containsOnly("direct");
  }

  @Test
  void andThroughTheHostWhereThereIsNone() {
    driver.withoutPeers();
    copies();
    assertThat(driver.ways()).hasSize(3).containsOnly("through the host");
  }

  /** At each place where a device may have nothing more to give. */
  @Test
  void whatCannotBeOpenedWholeIsGivenBack() {
    int failures = 0;
    for (boolean opened = false; !opened; ) {
      driver.failAfter(failures);
      try (Backend backend = EmulatedProvider.backend(driver, devices(0, 1));
          DeviceGroup group = new DeviceGroup(backend, 2)) {
        opened = group.size() == 4;
        assertThat(group.shareMemory(2, 3)).isTrue();
        assertThat(group.shareMemory(1, 2)).isFalse();
      } catch (CudaException e) {
        failures++;
      }
      assertThat(driver.outstanding()).isZero();
    }
    assertThat(failures).isGreaterThan(20);
  }

  @Test
  void aDeviceWithoutRoomIsNamedAndTheOthersAreWaitedFor() {
    try (Backend backend = EmulatedProvider.backend(driver, devices(0, 3));
        DeviceGroup group = new DeviceGroup(backend)) {
      assertThatThrownBy(() ->
              group.all((device, own) -> {
                try (TensorScope scope = own.newScope()) {
                  scope.rowMajor(DType.F32, device == 1 ? 1 << 15 : 1, 1 << 10);
                }
              }))
          .isExactlyInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("host (GPU 3) has no room for 128 MiB more")
          .hasNoSuppressedExceptions();
    }
    assertThat(driver.outstanding()).isZero();
  }
}
