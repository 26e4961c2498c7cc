package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

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
    ImmutableList<Integer> endTokens) {

  /**
   * The embedding table, vocabulary × size.
   *
   * @param table its name
   * @param size features of an embedding; those of the residual stream unless the opening projects
   */
  public record Embedding(String table, int size) {}

  /**
   * The output matrix, vocabulary × size of the embedding: {@code logits = scale·(x·Wᵀ + b)}.
   *
   * @param matrix its name; the embedding's if they are tied
   * @param bias name of the bias, if there is one
   * @param scale factor on the logits
   * @param softCap {@code c·tanh(logit/c)} is applied to the logits if c &gt; 0
   */
  public record Head(String matrix, Optional<String> bias, float scale, float softCap) {

    /** The matrix alone. */
    public Head(String matrix) {
      this(matrix, Optional.empty(), 1, 0);
    }

    /** The same with a bias. */
    public Head withBias(String name) {
      return new Head(matrix, Optional.of(name), scale, softCap);
    }
  }

  /** The same with other steps between the embedding and the first block. */
  public DecoderSpec withOpening(Step... steps) {
    BlockSpec other = new BlockSpec(opening.prefix(), ImmutableList.copyOf(steps));
    return new DecoderSpec(
        family, vocabulary, hidden, context, embedding, other, blocks, closing, head, endTokens);
  }

  /** The same with another opening. */
  DecoderSpec withOpening(BlockSpec other) {
    return new DecoderSpec(
        family, vocabulary, hidden, context, embedding, other, blocks, closing, head, endTokens);
  }

  /** The same with other blocks. */
  public DecoderSpec withBlocks(ImmutableList<BlockSpec> others) {
    return new DecoderSpec(
        family, vocabulary, hidden, context, embedding, opening, others, closing, head, endTokens);
  }

  /** The same with other steps between the last block and the head. */
  public DecoderSpec withClosing(Step... steps) {
    BlockSpec other = new BlockSpec(closing.prefix(), ImmutableList.copyOf(steps));
    return new DecoderSpec(
        family, vocabulary, hidden, context, embedding, opening, blocks, other, head, endTokens);
  }

  /** The same with another head. */
  public DecoderSpec withHead(Head other) {
    return new DecoderSpec(
        family, vocabulary, hidden, context, embedding, opening, blocks, closing, other, endTokens);
  }

  /** The same for windows of so many tokens at most. */
  public DecoderSpec withContext(int longest) {
    return new DecoderSpec(
        family, vocabulary, hidden, longest, embedding, opening, blocks, closing, head, endTokens);
  }

  /** The full names of the linear layers of all blocks. */
  public Stream<String> linearNames() {
    return blocks.stream().flatMap(block -> block.linears().map(block::nameOf));
  }

  /** Number of weights of the linear layers of all blocks. */
  public long linearWeights() {
    return blocks.stream()
        .flatMap(BlockSpec::linears)
        .mapToLong(linear -> (long) linear.outputs() * linear.inputs())
        .sum();
  }

  /** The same with further ids that end a generated text. */
  public DecoderSpec withEndTokens(List<Integer> more) {
    return new DecoderSpec(
        family,
        vocabulary,
        hidden,
        context,
        embedding,
        opening,
        blocks,
        closing,
        head,
        Stream.concat(endTokens.stream(), more.stream())
            .distinct()
            .collect(ImmutableList.toImmutableList()));
  }

  /** The same for a checkpoint with other names. */
  DecoderSpec renamed(UnaryOperator<String> rename) {
    return new DecoderSpec(
        family,
        vocabulary,
        hidden,
        context,
        new Embedding(rename.apply(embedding.table()), embedding.size()),
        renamed(rename, opening),
        blocks.stream()
            .map(block -> renamed(rename, block))
            .collect(ImmutableList.toImmutableList()),
        renamed(rename, closing),
        new Head(
            rename.apply(head.matrix()), head.bias().map(rename), head.scale(), head.softCap()),
        endTokens);
  }

  private static BlockSpec renamed(UnaryOperator<String> rename, BlockSpec block) {
    return new BlockSpec(rename.apply(block.prefix()), block.steps(), block.kept());
  }
}
