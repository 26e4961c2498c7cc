package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.TensorScope;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A batch that stays on the device that takes it through the blocks.
 *
 * @param device its number in the group
 */
record BatchHere(DeviceGroup devices, int device, Backend backend, CalibrationBatch batch)
    implements WaitingBatch {
  @Override
  public int number() {
    return batch.number();
  }

  @Override
  public void advance(Consumer<CalibrationBatch> work) {
    work.accept(batch);
  }

  @Override
  public void ahead(Consumer<CalibrationBatch> work) {
    try (TensorScope local = backend.newScope();
        CalibrationBatch copy = batch.copy(local)) {
      work.accept(copy);
    }
  }

  @Override
  public Stream<KeptRows> residuals() {
    return WaitingBatch.activations(batch)
        .map(registers -> new PlacedTensor(devices, device, registers.get(Step.RESIDUAL)));
  }

  @Override
  public void close() {
    batch.close();
  }
}
