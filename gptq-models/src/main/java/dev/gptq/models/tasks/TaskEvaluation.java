package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.evaluation.Generator;
import dev.gptq.models.evaluation.Sampler;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.Bos;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.ToDoubleFunction;

/** Measures a model by tasks, with the definitions of EleutherAI's lm-evaluation-harness. */
public final class TaskEvaluation {
  private final Decoder model;
  private final Tokenizer tokenizer;
  private final Bos bos;

  /**
   * Of a loaded model.
   *
   * @param bos whether texts begin with a BOS token
   */
  public TaskEvaluation(Decoder model, Tokenizer tokenizer, Bos bos) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.bos = bos;
  }

  /** The requests of questions, one after the other. */
  private static List<Request> requests(List<Question> questions) {
    List<Request> requests = new ArrayList<>();
    for (Question question : questions) {
      switch (question) {
        case Question.Choice choice -> requests.addAll(choice.requests());
        case Question.Completion completion -> requests.add(completion.request());
        case Question.Open _ -> {
          // Answered by writing.
        }
      }
    }
    return requests;
  }

  /** How many steps {@link #run} tells its progress in. */
  public static int steps(List<Question> questions) {
    int requests = requests(questions).size();
    return requests == 0 ? questions.size() : requests;
  }

  /**
   * Asks the model the questions of a task.
   *
   * @param progress hears how many requests are done
   */
  public TaskResult run(Task task, int shots, List<Question> questions, IntConsumer progress)
      throws IOException {
    if (questions.isEmpty()) {
      throw new BadInputException(task.name() + " has no questions");
    }
    ImmutableList<Score> scores =
        task.form() instanceof Form.Open open
            ? written(questions, open.extraction(), progress)
            : chosen(task, questions, progress);
    return new TaskResult(task, shots, questions.size(), scores);
  }

  /** The log-likelihoods of the requests of questions, in their order. */
  ImmutableList<Likelihood> likelihoods(List<Question> questions, IntConsumer progress)
      throws IOException {
    return new Likelihoods(model, tokenizer, bos).of(requests(questions), progress);
  }

  private ImmutableList<Score> chosen(Task task, List<Question> questions, IntConsumer progress)
      throws IOException {
    ImmutableList<Likelihood> found = likelihoods(questions, progress);
    ImmutableList.Builder<Score> scores = ImmutableList.builder();
    for (String metric : task.metrics()) {
      ImmutableDoubleArray.Builder values = ImmutableDoubleArray.builder();
      int at = 0;
      for (Question question : questions) {
        int count = question instanceof Question.Choice choice ? choice.requests().size() : 1;
        values.add(value(metric, question, found.subList(at, at + count)));
        at += count;
      }
      scores.add(new Score(metric, values.build()));
    }
    return scores.build();
  }

  private static double value(String metric, Question question, List<Likelihood> found) {
    if (question instanceof Question.Choice choice) {
      boolean byLength = metric.equals("acc_norm");
      return largest(
                  found.size(),
                  i -> {
                    double length =
                        byLength
                            ? choice
                                .choices()
                                .get(i)
                                .codePointCount(0, choice.choices().get(i).length())
                            : 1;
                    return found.get(i).logProbability() / length;
                  })
              == choice.gold()
          ? 1
          : 0;
    }
    Likelihood only = found.getFirst();
    if (metric.equals(Score.PERPLEXITY)) {
      return only.logProbability();
    }
    return only.greedy() ? 1 : 0;
  }

  /** The index with the largest value; of equal ones the first. */
  private static int largest(int count, ToDoubleFunction<Integer> values) {
    int best = 0;
    for (int i = 1; i < count; i++) {
      best = values.applyAsDouble(i) > values.applyAsDouble(best) ? i : best;
    }
    return best;
  }

  private ImmutableList<Score> written(
      List<Question> questions, Extraction extraction, IntConsumer progress) throws IOException {
    List<String> answers = new ArrayList<>();
    for (Question question : questions) {
      answers.add(extraction.answer(write(((Question.Open) question).prompt(), extraction)));
      progress.accept(answers.size());
    }
    ImmutableList.Builder<Score> scores = ImmutableList.builder();
    extraction
        .ways()
        .forEach((metric, way) -> {
          ImmutableDoubleArray.Builder values = ImmutableDoubleArray.builder();
          for (int i = 0; i < answers.size(); i++) {
            String reference = ((Question.Open) questions.get(i)).answer();
            values.add(extraction.same(way.find(answers.get(i)), reference) ? 1 : 0);
          }
          scores.add(new Score(metric, values.build()));
        });
    return scores.build();
  }

  /** What the model writes after a prompt, of which the end counts where it is too long. */
  String write(String prompt, Extraction extraction) throws IOException {
    int room = model.spec().context() - extraction.tokens();
    if (room < 1) {
      throw new BadInputException(
          "answers may have %d tokens, and the model's context is %d"
              .formatted(extraction.tokens(), model.spec().context()));
    }
    int[] tokens = bos.prompt(prompt, tokenizer);
    int[] seen = Arrays.copyOfRange(tokens, Math.max(0, tokens.length - room), tokens.length);
    ImmutableIntArray.Builder so = ImmutableIntArray.builder();
    ImmutableIntArray written =
        new Generator(model)
            .generateWhile(
                seen,
                extraction.tokens(),
                new Sampler(0, 1, 0),
                token -> {
                  so.add(token);
                  return !extraction.ended(tokenizer.decode(so.build().toArray()));
                })
            .tokens();
    return tokenizer.decode(written.toArray());
  }
}
