package dev.gptq.cli.report;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Table;
import dev.gptq.models.tasks.Score;
import dev.gptq.models.tasks.Task;
import dev.gptq.models.tasks.TaskCatalog.Suite;
import dev.gptq.models.tasks.TaskResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What models reached in tasks, for people and for programs. Recovery is the score's share of the
 * base's.
 */
public final class TaskReport {
  private final ImmutableList<Suite> suites;
  private final Map<Task, TaskResult> results;
  private final Optional<Map<Task, TaskResult>> base;

  /**
   * Of one model, or of one beside its base.
   *
   * @param suites what was asked for
   */
  public TaskReport(
      ImmutableList<Suite> suites,
      Map<Task, TaskResult> results,
      Optional<Map<Task, TaskResult>> base) {
    this.suites = suites;
    this.results = results;
    this.base = base;
  }

  /** A value with its standard error. */
  private record Measured(double value, double error) {
    static Measured of(Score score) {
      return new Measured(score.value(), score.standardError());
    }

    static Measured pooled(List<Score> scores) {
      double[] pooled = Score.pooled(scores);
      return new Measured(pooled[0], pooled[1]);
    }

    String text(double factor, String unit) {
      return Double.isNaN(error)
          ? String.format(Locale.ROOT, "%.2f%s", factor * value, unit)
          : String.format(Locale.ROOT, "%.2f ± %.2f%s", factor * value, factor * error, unit);
    }
  }

  /** A table. */
  public List<String> lines() {
    List<String> lines = new ArrayList<>(table().lines());
    mean().ifPresent(lines::add);
    return lines;
  }

  /** Adds it to a page. */
  public void addTo(HtmlPage page) {
    page.table(table());
    mean().ifPresent(page::paragraph);
    page.paragraph(
        "Prompts, metrics and standard errors (behind ±) are those of lm-evaluation-harness."
            + (base.isPresent()
                ? " The difference has the standard error of pairs, recovery is the share of the"
                    + " base's score that is left."
                : ""));
  }

  private Table table() {
    Table table =
        base.isPresent()
            ? new Table("task", "questions", "metric", "model", "base", "difference", "recovery")
            : new Table("task", "questions", "metric", "model");
    for (Suite suite : suites) {
      if (suite.tasks().size() > 1) {
        group(table, suite);
      }
      for (Task task : suite.tasks()) {
        TaskResult result = results.get(task);
        result.scores().forEach(score -> row(table, result, score));
      }
    }
    return table;
  }

  /** Of several tasks. */
  private Optional<String> mean() {
    if (suites.size() == 1) {
      return Optional.empty();
    }
    double model = average(results);
    String line = String.format(Locale.ROOT, "mean accuracy %.2f %%", 100 * model);
    if (base.isEmpty()) {
      return Optional.of(line);
    }
    double other = average(base.get());
    return Optional.of(
        line
            + String.format(
                Locale.ROOT, " against %.2f %%, recovery %s", 100 * other, recovery(model, other)));
  }

  private double average(Map<Task, TaskResult> of) {
    return suites.stream().mapToDouble(suite -> main(suite, of).value()).average().orElseThrow();
  }

  private static Measured main(Suite suite, Map<Task, TaskResult> results) {
    List<Score> scores = suite.tasks().stream().map(task -> results.get(task).main()).toList();
    return scores.size() == 1 ? Measured.of(scores.getFirst()) : Measured.pooled(scores);
  }

  private void group(Table table, Suite suite) {
    int questions = suite.tasks().stream().mapToInt(t -> results.get(t).documents()).sum();
    String metric = results.get(suite.tasks().getFirst()).main().metric();
    Measured mine = main(suite, results);
    if (base.isEmpty()) {
      table.row(suite.name(), Integer.toString(questions), metric, mine.text(100, " %"));
      return;
    }
    Measured other = main(suite, base.get());
    table.row(
        suite.name(),
        Integer.toString(questions),
        metric,
        mine.text(100, " %"),
        other.text(100, " %"),
        String.format(Locale.ROOT, "%+.2f %%", 100 * (mine.value() - other.value())),
        recovery(mine.value(), other.value()));
  }

  private void row(Table table, TaskResult result, Score score) {
    double factor = score.isPerplexity() ? 1 : 100;
    String unit = score.isPerplexity() ? "" : " %";
    String name =
        result.task().name() + (result.shots() == 0 ? "" : " (" + result.shots() + " shots)");
    String questions = Integer.toString(result.documents());
    String value = Measured.of(score).text(factor, unit);
    if (base.isEmpty()) {
      table.row(name, questions, score.metric(), value);
      return;
    }
    Score other = beside(result, score);
    double difference = score.value() - other.value();
    table.row(
        name,
        questions,
        score.metric(),
        value,
        Measured.of(other).text(factor, unit),
        score.isPerplexity()
            ? String.format(Locale.ROOT, "%+.2f", difference)
            : signed(new Measured(difference, score.standardErrorOfDifference(other))),
        score.isPerplexity() ? "" : recovery(score.value(), other.value()));
  }

  private static String signed(Measured difference) {
    return (difference.value() < 0 ? "" : "+") + difference.text(100, " %");
  }

  private Score beside(TaskResult result, Score score) {
    return base.orElseThrow().get(result.task()).scores().get(result.scores().indexOf(score));
  }

  private static String recovery(double value, double base) {
    return base == 0 ? "" : String.format(Locale.ROOT, "%.1f %%", 100 * value / base);
  }

  /** Adds the same to an object. */
  public ObjectNode json(ObjectNode json) {
    ArrayNode array = json.putArray("tasks");
    for (Suite suite : suites) {
      if (suite.tasks().size() > 1) {
        ObjectNode group = array.addObject().put("task", suite.name());
        group.put("members", suite.tasks().size());
        measured(group, "", main(suite, results));
        base.ifPresent(other -> measured(group, "base_", main(suite, other)));
      }
      for (Task task : suite.tasks()) {
        task(array.addObject(), results.get(task));
      }
    }
    return json;
  }

  private void task(ObjectNode json, TaskResult result) {
    json.put("task", result.task().name())
        .put("shots", result.shots())
        .put("questions", result.documents());
    ObjectNode metrics = json.putObject("metrics");
    for (Score score : result.scores()) {
      ObjectNode metric = metrics.putObject(score.metric());
      measured(metric, "", Measured.of(score));
      if (base.isPresent()) {
        Score other = beside(result, score);
        measured(metric, "base_", Measured.of(other));
        if (!score.isPerplexity()) {
          number(metric, "difference", score.value() - other.value());
          number(metric, "difference_standard_error", score.standardErrorOfDifference(other));
          number(metric, "recovery", score.value() / other.value());
        }
      }
    }
  }

  private static void measured(ObjectNode json, String prefix, Measured measured) {
    number(json, prefix + "value", measured.value());
    number(json, prefix + "standard_error", measured.error());
  }

  /** What is no number, such as the error of one document, is left out. */
  private static void number(ObjectNode json, String name, double value) {
    if (Double.isFinite(value)) {
      json.put(name, value);
    }
  }
}
