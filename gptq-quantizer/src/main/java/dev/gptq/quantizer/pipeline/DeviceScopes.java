package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.DeviceGroup;
import dev.gptq.tensor.TensorScope;

/** A scope on each device; closing closes all. */
final class DeviceScopes implements AutoCloseable {
  private final DeviceGroup devices;
  private final TensorScope[] scopes;

  DeviceScopes(DeviceGroup devices) {
    this.devices = devices;
    this.scopes = new TensorScope[devices.size()];
    devices.all((device, backend) -> scopes[device] = backend.newScope());
  }

  /** That of a device, for its thread. */
  TensorScope of(int device) {
    return scopes[device];
  }

  @Override
  public void close() {
    devices.all((device, backend) -> scopes[device].close());
  }
}
