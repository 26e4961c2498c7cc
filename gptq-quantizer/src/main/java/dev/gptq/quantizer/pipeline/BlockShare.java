package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LaneGroup;
import dev.gptq.models.forward.Block;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * What one member of a group of devices has of a block that is being quantized.
 *
 * @param block with all its weights
 * @param original the block with weights that stay as they are, for targets that need it
 * @param batches the calibration batches that were dealt to it
 * @param lanes where modules are solved side by side
 * @param solver makes what solves groups of the block on the device or a lane of it
 */
record BlockShare(
    Backend backend,
    Block block,
    Optional<Block> original,
    List<WaitingBatch> batches,
    LaneGroup lanes,
    Function<Backend, GroupSolver> solver) {

  /** Runs steps with a batch. */
  void run(CalibrationBatch batch, int from, int to) {
    batch.run(block, original, from, to);
  }
}
