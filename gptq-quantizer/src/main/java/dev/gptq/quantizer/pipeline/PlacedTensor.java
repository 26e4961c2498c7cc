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
public record PlacedTensor(DeviceGroup devices, int device, Tensor tensor) {

  /** The type of its numbers. */
  public DType type() {
    return tensor.type();
  }

  /** Number of rows. */
  public int rows() {
    return tensor.rows();
  }

  /** Numbers in a row. */
  public int columns() {
    return tensor.columns();
  }

  /** Bytes of all of it. */
  public long byteSize() {
    return tensor.byteSize();
  }

  /** Copies rows {@code from} to {@code to} densely to the host. */
  public void copyTo(int from, int to, MemorySegment host) {
    devices.on(
        device,
        backend -> {
          tensor.rows(from, to).copyTo(host);
          return backend;
        });
  }

  /** Takes rows {@code from} to {@code to} from the host. */
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
