package dev.gptq.quantizer.pipeline;

import dev.gptq.models.forward.Registers;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** A calibration batch, wherever its {@link HiddenStates} lie while nothing works on them. */
interface WaitingBatch extends AutoCloseable {
  /** The number of the batch, from 0. */
  int number();

  /** Takes it on; what that leaves is there afterwards. */
  void advance(Consumer<CalibrationBatch> work);

  /** Takes a copy ahead, of which nothing is kept. */
  void ahead(Consumer<CalibrationBatch> work);

  /** The residual stream, and that of the full-precision model if a target needs it. */
  Stream<KeptRows> residuals();

  @Override
  void close();

  /** The activations of a batch, and those of the full-precision model if a target needs them. */
  static Stream<Registers> activations(CalibrationBatch batch) {
    return Stream.concat(Stream.of(batch.registers()), batch.full().stream());
  }
}
