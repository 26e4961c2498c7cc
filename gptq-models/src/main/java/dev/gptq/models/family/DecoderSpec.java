package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * A decoder-only language model as data.
 *
 * @param family name of the family, for people
 * @param vocabulary number of token ids
 * @param hidden features of the residual stream
 * @param context longest window that the model was made for
 * @param embedding name of the embedding table, vocabulary × hidden
 * @param blocks the decoder blocks in order
 * @param finalNorm normalisation before the head
 * @param head name of the output matrix, vocabulary × hidden; the embedding's if they are tied
 * @param rope rotary positions, if the blocks use them
 * @param endTokens ids that end a generated text
 */
public record DecoderSpec(
    String family,
    int vocabulary,
    int hidden,
    int context,
    String embedding,
    ImmutableList<BlockSpec> blocks,
    NormSpec finalNorm,
    String head,
    Optional<RopeSpec> rope,
    ImmutableList<Integer> endTokens) {}
