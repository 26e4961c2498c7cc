package dev.gptq.quantizer.pipeline;

import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * Some calibration windows on their way through the model.
 *
 * @param number of the batch, from 0
 * @param first the first token of the batch, counted through all batches
 * @param sequences number of windows
 * @param registers their activations at the point that the calibration has reached
 * @param full the activations of the full-precision model there, if a target needs them
 */
record CalibrationBatch(
    int number, int first, int sequences, Registers registers, Optional<Registers> full)
    implements AutoCloseable {

  /** Runs steps of the block, and in full precision those of the original. */
  void run(Block block, Optional<Block> original, int from, int to) {
    block.run(registers, sequences, from, to);
    original.ifPresent(o -> o.run(full.orElseThrow(), sequences, from, to));
  }

  /** The same windows with other activations. */
  CalibrationBatch with(Registers others, Optional<Registers> otherFull) {
    return new CalibrationBatch(number, first, sequences, others, otherFull);
  }

  /** A copy of all that is there, which can go ahead while this stays. */
  CalibrationBatch copy(TensorScope scope) {
    return with(registers.copy(scope), full.map(known -> known.copy(scope)));
  }

  @Override
  public void close() {
    registers.close();
    full.ifPresent(Registers::close);
  }
}
