package dev.gptq.models.forward;

import dev.gptq.tensor.Tensor;
import java.util.Optional;

/**
 * What a run through a block is about.
 *
 * @param sequences number of windows of equal length in the batch
 * @param firstPosition position of each window's first token
 * @param tokens ids of the tokens, where they are known: in the opening
 * @param cache keys and values of earlier positions, when sequences go on: one by any number of
 *     tokens, several by one token each
 */
record Pass(
    int sequences, int firstPosition, Optional<Tensor> tokens, Optional<KeyValueCache> cache) {

  /** Whole windows from their first position on. */
  static Pass windows(int sequences) {
    return new Pass(sequences, 0, Optional.empty(), Optional.empty());
  }

  /** The same with the tokens. */
  Pass of(Tensor ids) {
    return new Pass(sequences, firstPosition, Optional.of(ids), cache);
  }
}
