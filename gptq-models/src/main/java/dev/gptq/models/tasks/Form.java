package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import java.util.Optional;
import java.util.stream.Stream;

/** How a row becomes a question. */
sealed interface Form {
  /** The question of a row. */
  Question question(Row row);

  /** A row with its answer, as an example before questions. */
  String example(Row row);

  /** The columns that are read. */
  ImmutableSet<String> columns();

  /**
   * Where the right choice is named: by its index, by one of {@code labels}, or by a number that
   * begins at {@code first}.
   */
  record Gold(String path, Optional<String> labels, int first) {
    int index(Row row, int choices) {
      int index =
          labels.isPresent()
              ? row.texts(labels.get()).indexOf(row.text(path))
              : row.number(path) - first;
      if (index < 0 || index >= choices) {
        throw row.wrong(path, "names none of the %d choices".formatted(choices));
      }
      return index;
    }

    Stream<String> columns() {
      return Stream.concat(Stream.of(path), labels.stream()).map(Row::column);
    }
  }

  /** A context and the choices that may follow. */
  record Choice(Template context, Choices choices, Gold gold, boolean wikiHow) implements Form {
    @Override
    public Question.Choice question(Row row) {
      String before = cleaned(context.fill(row));
      ImmutableList<String> texts =
          choices.of(row).stream().map(this::cleaned).collect(ImmutableList.toImmutableList());
      return new Question.Choice(
          texts.stream()
              .map(text -> new Request(before, " " + text))
              .collect(ImmutableList.toImmutableList()),
          texts,
          gold.index(row, texts.size()));
    }

    private String cleaned(String text) {
      return wikiHow ? WikiHow.cleaned(text) : text;
    }

    @Override
    public String example(Row row) {
      Question.Choice question = question(row);
      Request right = question.requests().get(question.gold());
      return right.context() + right.continuation();
    }

    @Override
    public ImmutableSet<String> columns() {
      return Stream.of(context.columns().stream(), choices.columns(), gold.columns())
          .flatMap(each -> each)
          .collect(ImmutableSet.toImmutableSet());
    }
  }

  /** The choices: a list in the row, or texts for all rows. */
  record Choices(Optional<String> path, ImmutableList<Template> texts) {
    ImmutableList<String> of(Row row) {
      return path.map(row::texts)
          .orElseGet(() ->
              texts.stream().map(text -> text.fill(row)).collect(ImmutableList.toImmutableList()));
    }

    Stream<String> columns() {
      return Stream.concat(
          path.map(Row::column).stream(), texts.stream().flatMap(text -> text.columns().stream()));
    }
  }

  /** What follows a blank in a sentence that each choice could fill: the choices are contexts. */
  record Blank(String sentence, Choices choices, Gold gold) implements Form {
    @Override
    public Question question(Row row) {
      String text = row.text(sentence);
      int at = text.indexOf('_');
      if (at < 0) {
        throw row.wrong(sentence, "has no blank '_'");
      }
      String rest = " " + text.substring(at + 1).strip();
      ImmutableList<String> texts = choices.of(row);
      return new Question.Choice(
          texts.stream()
              .map(choice -> new Request(text.substring(0, at) + choice, rest))
              .collect(ImmutableList.toImmutableList()),
          texts,
          gold.index(row, texts.size()));
    }

    @Override
    public String example(Row row) {
      throw new IllegalStateException("a sentence with a blank is no example");
    }

    @Override
    public ImmutableSet<String> columns() {
      return Stream.of(Stream.of(Row.column(sentence)), choices.columns(), gold.columns())
          .flatMap(each -> each)
          .collect(ImmutableSet.toImmutableSet());
    }
  }

  /** The last word of a text. */
  record LastWord(String text) implements Form {
    @Override
    public Question question(Row row) {
      String whole = row.text(text);
      int at = whole.lastIndexOf(' ');
      if (at < 0) {
        throw row.wrong(text, "is a single word");
      }
      return new Question.Completion(new Request(whole.substring(0, at), whole.substring(at)));
    }

    @Override
    public String example(Row row) {
      return row.text(text);
    }

    @Override
    public ImmutableSet<String> columns() {
      return ImmutableSet.of(Row.column(text));
    }
  }

  /** A text that the model writes. */
  record Open(Template context, Template answer, Extraction extraction) implements Form {
    @Override
    public Question question(Row row) {
      return new Question.Open(context.fill(row), answer.fill(row));
    }

    @Override
    public String example(Row row) {
      return context.fill(row) + " " + answer.fill(row);
    }

    @Override
    public ImmutableSet<String> columns() {
      return ImmutableSet.copyOf(
          Stream.concat(context.columns().stream(), answer.columns().stream()).toList());
    }
  }
}
