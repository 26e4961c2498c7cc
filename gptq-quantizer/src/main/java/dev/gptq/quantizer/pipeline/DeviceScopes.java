package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.tensor.TensorScope;

/** A scope on each device that asks for it; closing closes all. */
final class DeviceScopes implements AutoCloseable {
  private final DeviceGroup devices;
  private final TensorScope[] scopes;

  DeviceScopes(DeviceGroup devices) {
    this.devices = devices;
    this.scopes = new TensorScope[devices.size()];
  }

  /** That of a device, for its thread. */
  TensorScope of(int device, Backend backend) {
    if (scopes[device] == null) {
      scopes[device] = backend.newScope();
    }
    return scopes[device];
  }

  /**
   * Closes all. Members that share a device's memory are waited for: what one of them takes next
   * would come on top of what another has not given back.
   */
  @Override
  public void close() {
    DeviceGroup.Step closing =
        (device, backend) -> {
          if (scopes[device] != null) {
            scopes[device].close();
          }
        };
    if (devices.lanes() == 1) {
      devices.begin(closing);
    } else {
      devices.all(closing);
    }
  }
}
