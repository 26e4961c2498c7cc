package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import tools.jackson.databind.JsonNode;

/**
 * A task: which data, how they become questions, what is measured.
 *
 * @param name as lm-evaluation-harness calls it
 * @param dataset the repository on the hub
 * @param config the part of it
 * @param split the part of that whose rows are the questions
 * @param description what stands before everything
 * @param examples where examples come from; empty if the task knows none
 * @param form how a row becomes a question
 * @param metrics what is measured; the last is the one that counts
 */
public record Task(
    String name,
    String dataset,
    String config,
    String split,
    String description,
    Optional<Examples> examples,
    Form form,
    ImmutableList<String> metrics) {

  /** The seed with which examples are drawn. */
  private static final int SEED = 1234;

  /**
   * Examples before each question.
   *
   * @param split the rows that they are taken from
   * @param usual how many there are unless something else is asked for
   * @param drawn whether they are drawn anew for each question; else they are the first rows
   */
  public record Examples(String split, int usual, boolean drawn) {}

  /** The columns that it reads. */
  public ImmutableList<String> columns() {
    return form.columns().asList();
  }

  /** How many examples stand before each question, if so many are asked for. */
  public int shots(OptionalInt wanted) {
    int shots = wanted.orElse(examples.map(Examples::usual).orElse(0));
    if (shots > 0 && examples.isEmpty()) {
      throw new BadInputException(name + " is a task without examples; ask for 0 shots");
    }
    return shots;
  }

  /**
   * Its questions.
   *
   * @param shots examples before each
   * @param limit only that many
   */
  public ImmutableList<Question> questions(TaskData data, int shots, OptionalInt limit)
      throws IOException {
    ImmutableList<Row> rows = rows(data, split);
    ImmutableList<Row> pool = shots == 0 ? ImmutableList.of() : rows(data, examples.get().split());
    if (shots > pool.size()) {
      throw new BadInputException(
          "%s has %d examples, fewer than %d".formatted(name, pool.size(), shots));
    }
    PythonRandom random = new PythonRandom(SEED);
    ImmutableList.Builder<Question> questions = ImmutableList.builder();
    for (Row row : rows.subList(0, Math.min(limit.orElse(rows.size()), rows.size()))) {
      StringBuilder before = new StringBuilder(description);
      if (shots > 0) {
        for (Row example : examples(pool, shots, random)) {
          before.append(form.example(example)).append("\n\n");
        }
      }
      questions.add(behind(before.toString(), form.question(row)));
    }
    return questions.build();
  }

  private List<Row> examples(List<Row> pool, int shots, PythonRandom random) {
    if (!examples.get().drawn()) {
      return pool.subList(0, shots);
    }
    List<Row> drawn = new ArrayList<>();
    for (int index : random.sample(pool.size(), shots)) {
      drawn.add(pool.get(index));
    }
    return drawn;
  }

  private static Question behind(String before, Question question) {
    return switch (question) {
      case Question.Choice choice ->
          new Question.Choice(
              choice.requests().stream()
                  .map(each -> behind(before, each))
                  .collect(ImmutableList.toImmutableList()),
              choice.choices(),
              choice.gold());
      case Question.Completion completion ->
          new Question.Completion(behind(before, completion.request()));
      case Question.Open open -> new Question.Open(before + open.prompt(), open.answer());
    };
  }

  private static Request behind(String before, Request request) {
    return new Request(before + request.context(), request.continuation());
  }

  private ImmutableList<Row> rows(TaskData data, String part) throws IOException {
    ImmutableList<JsonNode> rows = data.rows(this, part);
    ImmutableList.Builder<Row> numbered = ImmutableList.builder();
    for (int i = 0; i < rows.size(); i++) {
      numbered.add(new Row("row %d of %s, %s".formatted(i + 1, name, part), rows.get(i)));
    }
    return numbered.build();
  }
}
