package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * A decoder-only language model as data: the embedding puts {@code x} in its place, the opening and
 * then the blocks change it, and the head turns what the closing makes of it into logits.
 *
 * @param family name of the family, for people
 * @param vocabulary number of token ids
 * @param hidden features of the residual stream
 * @param context longest window that the model was made for
 * @param embedding the embedding table
 * @param opening steps between the embedding and the first block: learned positions, a projection
 * @param blocks the decoder blocks in order
 * @param closing steps between the last block and the head: a normalisation, a projection
 * @param head the output matrix
 * @param rope rotary positions, if the blocks use them
 * @param endTokens ids that end a generated text
 */
public record DecoderSpec(
    String family,
    int vocabulary,
    int hidden,
    int context,
    Embedding embedding,
    BlockSpec opening,
    ImmutableList<BlockSpec> blocks,
    BlockSpec closing,
    Head head,
    Optional<RopeSpec> rope,
    ImmutableList<Integer> endTokens) {

  /**
   * The embedding table, vocabulary × size.
   *
   * @param table its name
   * @param size features of an embedding; those of the residual stream unless the opening projects
   */
  public record Embedding(String table, int size) {}

  /**
   * The output matrix, vocabulary × size of the embedding.
   *
   * @param matrix its name; the embedding's if they are tied
   * @param softCap {@code c·tanh(logit/c)} is applied to the logits if c &gt; 0
   */
  public record Head(String matrix, float softCap) {}

  /** The same for a checkpoint of the bare decoder, whose names lack the prefix of the model. */
  DecoderSpec withoutPrefix(String base) {
    return new DecoderSpec(
        family,
        vocabulary,
        hidden,
        context,
        new Embedding(strip(base, embedding.table()), embedding.size()),
        strip(base, opening),
        blocks.stream().map(block -> strip(base, block)).collect(ImmutableList.toImmutableList()),
        strip(base, closing),
        new Head(strip(base, head.matrix()), head.softCap()),
        rope,
        endTokens);
  }

  private static BlockSpec strip(String base, BlockSpec block) {
    return new BlockSpec(strip(base, block.prefix()), block.steps());
  }

  private static String strip(String base, String name) {
    return name.startsWith(base) ? name.substring(base.length()) : name;
  }
}
