package dev.gptq.models.evaluation;

import com.google.common.base.Preconditions;
import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.models.forward.Decoder;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;

/** Continues a prompt. */
public final class Generator {

  /**
   * A continuation and how long it took.
   *
   * @param tokens the new tokens, without the prompt
   * @param prefillSeconds time for the prompt
   * @param decodeSeconds time for the new tokens after the first
   */
  public record Continuation(
      ImmutableIntArray tokens, double prefillSeconds, double decodeSeconds) {}

  private final Decoder model;

  /** For a loaded model. */
  public Generator(Decoder model) {
    this.model = model;
  }

  /**
   * Generates until an end token, {@code limit} new tokens or a full context.
   *
   * @param each hears every new token as it comes
   */
  public Continuation generate(int[] prompt, int limit, Sampler sampler, IntConsumer each) {
    return generateWhile(
        prompt,
        limit,
        sampler,
        token -> {
          each.accept(token);
          return true;
        });
  }

  /**
   * Generates until an end token, {@code limit} new tokens or a full context, or a new token after
   * which there shall be no other.
   *
   * @param more hears every new token as it comes and says whether to go on
   */
  public Continuation generateWhile(int[] prompt, int limit, Sampler sampler, IntPredicate more) {
    Preconditions.checkArgument(prompt.length > 0, "the prompt is empty");
    Preconditions.checkArgument(
        prompt.length < model.spec().context(),
        "the prompt has %s tokens but the model's context is %s",
        prompt.length,
        model.spec().context());
    int capacity = Math.min(model.spec().context(), prompt.length + limit);
    ImmutableIntArray.Builder tokens = ImmutableIntArray.builder();
    try (Decoder.Sequence sequence = model.newSequence(capacity)) {
      long start = System.nanoTime();
      float[] logits = sequence.append(prompt);
      long decoding = System.nanoTime();
      for (int i = 0; i < limit; i++) {
        int token = sampler.next(logits);
        if (model.spec().endTokens().contains(token)) {
          break;
        }
        tokens.add(token);
        if (!more.test(token) || sequence.isFull() || i + 1 == limit) {
          break;
        }
        logits = sequence.append(token);
      }
      long end = System.nanoTime();
      return new Continuation(tokens.build(), (decoding - start) / 1e9, (end - decoding) / 1e9);
    }
  }
}
