package dev.gptq.models.forward;

import dev.gptq.models.family.DecoderSpec;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * A language model through which windows of text can pass: a {@link Decoder} has all its weights in
 * memory, a {@link BlockwiseDecoder} those of one block at a time.
 */
public interface TextModel extends AutoCloseable {

  /** The description. */
  DecoderSpec spec();

  /**
   * Begins to pass text through the model; the caller closes what is returned.
   *
   * @param batches windows of token ids; those of a batch are of equal length
   * @param progress hears how many windows are done, or how many they come to where all windows
   *     advance together
   */
  Reading read(List<List<int[]>> batches, IntConsumer progress);

  /** Batches of windows on their way through a model. */
  interface Reading extends AutoCloseable {

    /** What the model makes of the next batch, in the order in which they were given. */
    Outputs next();

    @Override
    void close();
  }

  @Override
  void close();
}
