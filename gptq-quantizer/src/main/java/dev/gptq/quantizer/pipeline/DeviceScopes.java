package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.tensor.TensorScope;

/** A scope on each device that asks for it; closing closes all, and waits for none. */
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

  @Override
  public void close() {
    devices.begin((device, backend) -> {
      if (scopes[device] != null) {
        scopes[device].close();
      }
    });
  }
}
