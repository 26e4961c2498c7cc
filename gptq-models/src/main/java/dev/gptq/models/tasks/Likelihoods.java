package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.evaluation.Sound;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.text.Bos;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Log-likelihoods of continuations. Context and continuation are tokenised together and cut where
 * the context alone would end; blanks at the end of the context belong to the continuation. What is
 * longer than the model's context loses its beginning.
 *
 * <p>Requests that differ in their last token only, as the letters of a choice do, go through the
 * model once. The rest runs in batches, padded at the end, where nothing looks.
 */
final class Likelihoods {
  private static final int BATCH_TOKENS = 2048;

  private final Decoder model;
  private final Tokenizer tokenizer;
  private final Bos bos;

  Likelihoods(Decoder model, Tokenizer tokenizer, Bos bos) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.bos = bos;
  }

  /** A continuation after tokens of the input that end before its last one. */
  private record Ending(int request, ImmutableIntArray tokens) {}

  /** All requests with the same input. */
  private record Input(ImmutableIntArray tokens, List<Ending> endings) {}

  /**
   * The likelihoods of requests, in their order.
   *
   * @param progress hears how many are done
   */
  ImmutableList<Likelihood> of(List<Request> requests, IntConsumer progress) throws IOException {
    Likelihood[] found = new Likelihood[requests.size()];
    List<Input> inputs = new ArrayList<>(inputs(requests));
    inputs.sort(Comparator.comparingInt((Input input) -> input.tokens().length()).reversed());
    int done = 0;
    for (int from = 0; from < inputs.size(); ) {
      int length = inputs.get(from).tokens().length();
      int to = Math.min(inputs.size(), from + Math.max(1, BATCH_TOKENS / length));
      done += run(inputs.subList(from, to), length, found);
      progress.accept(done);
      from = to;
    }
    return ImmutableList.copyOf(found);
  }

  private List<Input> inputs(List<Request> requests) throws IOException {
    Map<ImmutableIntArray, Input> inputs = new LinkedHashMap<>();
    for (int i = 0; i < requests.size(); i++) {
      Request request = requests.get(i);
      String context = request.context().stripTrailing();
      if (context.isEmpty()) {
        throw new BadInputException("nothing stands before '%s'".formatted(request.continuation()));
      }
      int[] before = bos.prompt(context, tokenizer);
      int[] whole = bos.prompt(request.context() + request.continuation(), tokenizer);
      int[] ending = Arrays.copyOfRange(whole, Math.min(before.length, whole.length), whole.length);
      int most = model.spec().context();
      if (ending.length == 0 || ending.length > most) {
        throw new BadInputException(
            "'%s' has %d tokens of its own; it needs 1 to %d"
                .formatted(request.continuation(), ending.length, most));
      }
      ImmutableIntArray all =
          ImmutableIntArray.copyOf(whole)
              .subArray(Math.max(0, whole.length - most - 1), whole.length - 1);
      inputs
          .computeIfAbsent(all, _ -> new Input(all, new ArrayList<>()))
          .endings()
          .add(new Ending(i, ImmutableIntArray.copyOf(ending)));
    }
    return List.copyOf(inputs.values());
  }

  private int run(List<Input> batch, int length, Likelihood[] found) {
    int vocabulary = model.spec().vocabulary();
    int done = 0;
    try (Outputs outputs =
        model.run(
            batch.stream()
                .map(input -> Arrays.copyOf(input.tokens().toArray(), length))
                .toList())) {
      for (int i = 0; i < batch.size(); i++) {
        Input input = batch.get(i);
        int longest =
            input.endings().stream().mapToInt(e -> e.tokens().length()).max().orElseThrow();
        int end = i * length + input.tokens().length();
        float[] logits = outputs.logits(end - longest, end);
        for (Ending ending : input.endings()) {
          found[ending.request()] =
              likelihood(
                  logits, (longest - ending.tokens().length()) * vocabulary, ending.tokens());
          done++;
        }
      }
    }
    return done;
  }

  private Likelihood likelihood(float[] logits, int from, ImmutableIntArray tokens) {
    int vocabulary = model.spec().vocabulary();
    double sum = 0;
    boolean greedy = true;
    for (int t = 0; t < tokens.length(); t++) {
      int row = from + t * vocabulary;
      int top = row;
      for (int i = row + 1; i < row + vocabulary; i++) {
        top = logits[i] > logits[top] ? i : top;
      }
      double exponentials = 0;
      for (int i = row; i < row + vocabulary; i++) {
        exponentials += Math.exp((double) logits[i] - logits[top]);
      }
      sum += (double) logits[row + tokens.get(t)] - logits[top] - Math.log(exponentials);
      greedy &= top == row + tokens.get(t);
    }
    return new Likelihood(Sound.require(sum, "the model"), greedy);
  }
}
