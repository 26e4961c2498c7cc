package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;

/**
 * What a run may keep of its state, on the device that has it: the residual stream of some
 * calibration windows, or sums over all of them.
 *
 * @param tensor with contiguous rows
 */
public record PlacedTensor(DeviceGroup devices, int device, Tensor tensor) implements KeptRows {

  @Override
  public DType type() {
    return tensor.type();
  }

  @Override
  public int rows() {
    return tensor.rows();
  }

  @Override
  public int columns() {
    return tensor.columns();
  }

  @Override
  public void copyTo(int from, int to, MemorySegment host) {
    devices.on(
        device,
        backend -> {
          tensor.rows(from, to).copyTo(host);
          return backend;
        });
  }

  @Override
  public void fill(int from, int to, MemorySegment host) {
    devices.on(device, backend -> fill(backend, tensor.rows(from, to), host));
  }

  private static Backend fill(Backend backend, Tensor rows, MemorySegment host) {
    try (TensorScope scope = backend.newScope()) {
      backend
          .linalg()
          .convert(
              scope.upload(host, rows.type(), rows.rows(), rows.columns(), Layout.ROW_MAJOR), rows);
    }
    return backend;
  }
}
