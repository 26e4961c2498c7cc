package dev.gptq.models.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.Bos;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The bundled model on small sets that were made by hand in the layout of the real ones, against
 * what lm-evaluation-harness recorded ({@code interop/tasks.py}): the same prompts,
 * log-likelihoods, texts, metrics and standard errors.
 */
final class TaskEvaluationTest {
  private static Backend backend;
  private static Model model;
  private static Decoder decoder;
  private static Tokenizer tokenizer;
  private static TaskCatalog catalog;
  private static TaskData data;
  private static JsonNode recorded;

  @BeforeAll
  static void load() throws IOException {
    backend = Backends.open("auto", BackendOptions.defaults(), _ -> {});
    model = Model.open(Path.of(System.getProperty("gptq.root"), "examples", "tiny"));
    decoder = model.load(backend);
    tokenizer = model.tokenizer();
    catalog = TaskCatalog.builtIn();
    data = TaskData.folder(Path.of(System.getProperty("gptq.root"), "examples", "tasks"));
    try (InputStream in = TaskEvaluationTest.class.getResourceAsStream("harness.json")) {
      recorded = JsonMapper.shared().readTree(in);
    }
  }

  @AfterAll
  static void unload() throws IOException {
    tokenizer.close();
    decoder.close();
    model.close();
    backend.close();
  }

  private static Task task(String name) {
    return catalog.suites(name).getFirst().tasks().getFirst();
  }

  @Test
  void everythingIsAsTheHarnessRecordedIt() throws IOException {
    TaskEvaluation evaluation = new TaskEvaluation(decoder, tokenizer, Bos.AUTO);
    assertThat(recorded).hasSizeGreaterThan(10);
    for (JsonNode entry : recorded) {
      Task task = task(entry.get("task").stringValue());
      int shots = entry.get("shots").intValue();
      ImmutableList<Question> questions = task.questions(data, shots, OptionalInt.empty());
      if (task.form() instanceof Form.Open open) {
        assertWritten(evaluation, open.extraction(), questions, entry);
      } else {
        assertLikelihoods(evaluation, questions, entry);
        assertMetrics(evaluation.run(task, shots, questions, _ -> {}), entry);
      }
    }
  }

  private static void assertWritten(
      TaskEvaluation evaluation, Extraction extraction, List<Question> questions, JsonNode entry)
      throws IOException {
    for (int i = 0; i < questions.size(); i++) {
      JsonNode expected = entry.get("requests").get(i);
      Question.Open question = (Question.Open) questions.get(i);
      assertThat(question.prompt()).isEqualTo(expected.get("prompt").stringValue());
      // Writing takes long; with examples it is asked for once.
      if (i == 1 && entry.get("shots").intValue() > 0) {
        assertThat(extraction.answer(evaluation.write(question.prompt(), extraction)))
            .isEqualTo(expected.get("written").stringValue());
      }
    }
  }

  private static void assertLikelihoods(
      TaskEvaluation evaluation, List<Question> questions, JsonNode entry) throws IOException {
    List<Request> requests =
        questions.stream()
            .flatMap(question ->
                question instanceof Question.Choice choice
                    ? choice.requests().stream()
                    : List.of(((Question.Completion) question).request()).stream())
            .toList();
    ImmutableList<Likelihood> found = evaluation.likelihoods(questions, _ -> {});
    assertThat(found).hasSameSizeAs(entry.get("requests"));
    for (int i = 0; i < found.size(); i++) {
      JsonNode expected = entry.get("requests").get(i);
      assertThat(requests.get(i))
          .isEqualTo(
              new Request(
                  expected.get("context").stringValue(),
                  expected.get("continuation").stringValue()));
      assertThat(found.get(i).logProbability())
          .as("%s, %s", entry.get("task"), requests.get(i))
          .isCloseTo(expected.get("ll").doubleValue(), within(1e-3));
      assertThat(found.get(i).greedy()).isEqualTo(expected.get("greedy").booleanValue());
    }
  }

  private static void assertMetrics(TaskResult result, JsonNode entry) {
    JsonNode metrics = entry.get("metrics");
    for (Score score : result.scores()) {
      assertThat(score.value())
          .as("%s %s", result.task().name(), score.metric())
          .isCloseTo(
              metrics.get(score.metric() + ",none").doubleValue(), within(1e-3 * score.value()));
      // The harness draws the perplexity's error at random.
      if (!score.isPerplexity()) {
        assertThat(score.standardError())
            .isCloseTo(metrics.get(score.metric() + "_stderr,none").doubleValue(), within(1e-9));
      }
    }
  }

  @Test
  void scoresAreThoseWorkedOutByHand() {
    Score score = score("acc", 1, 0, 1, 1);
    assertThat(score.value()).isEqualTo(0.75);
    // Deviations ±: 3·(1/4)² + (3/4)² = 3/4; over 3 and 4: 1/16.
    assertThat(score.standardError()).isCloseTo(0.25, within(1e-12));
    // Differences 0, 0, 1, 0 have the mean 1/4 and the squares 3/4, too.
    assertThat(score.standardErrorOfDifference(score("acc", 1, 0, 0, 1)))
        .isCloseTo(0.25, within(1e-12));
    assertThat(score("perplexity", -1, -3).value()).isCloseTo(Math.exp(2), within(1e-9));
    // 3 of 4 and 0 of 2: pooled variance (3/4 + 0) / (6 − 2), over 6.
    double[] pooled = Score.pooled(List.of(score, score("acc", 0, 0)));
    assertThat(pooled[0]).isEqualTo(0.5);
    assertThat(pooled[1]).isCloseTo(Math.sqrt(0.75 / 4 / 6), within(1e-12));
  }

  private static Score score(String metric, double... values) {
    return new Score(metric, ImmutableDoubleArray.copyOf(values));
  }

  /** What the harness' filters and exact match make of each answer to a question about 1,000. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'10 * 100 = 1,000\n#### 1,000'|1,000|1,000|true|true",
        "It is $1000.|[invalid]|$1000.|false|true",
        "#### 1000.|1000.|1000.|true|true",
        "#### -7 and 8|-7|8|false|false",
        "so 1000 then|[invalid]|1000|false|true",
        "nothing|[invalid]|[invalid]|false|false",
        "a. b.. 1,000.00|[invalid]|1,000.00|false|false"
      })
  void answersAreFoundAndCompared(
      String written, String strict, String flexible, boolean strictly, boolean flexibly) {
    Extraction extraction = ((Form.Open) task("gsm8k").form()).extraction();
    String reference = "10 * 100 = 1,000\n#### 1,000";
    String first = extraction.ways().get("strict-match").find(written);
    String last = extraction.ways().get("flexible-extract").find(written);
    assertThat(List.of(first, last)).containsExactly(strict, flexible);
    assertThat(extraction.same(first, reference)).isEqualTo(strictly);
    assertThat(extraction.same(last, reference)).isEqualTo(flexibly);
    assertThat(extraction.answer("7\n\nQuestion: 8</s>")).isEqualTo("7\n\n");
  }

  @Test
  void drawsAreThoseOfPython() {
    PythonRandom large = new PythonRandom(1234);
    assertThat(large.sample(7473, 5)).containsExactly(6374, 3610, 957, 61, 742);
    assertThat(large.sample(7473, 5)).containsExactly(7462, 6610, 4769, 286, 5501);
    PythonRandom small = new PythonRandom(1234);
    assertThat(small.sample(20, 3)).containsExactly(14, 3, 0);
    assertThat(small.sample(20, 3)).containsExactly(2, 18, 1);
    PythonRandom many = new PythonRandom(1234);
    assertThat(many.sample(60, 8)).containsExactly(49, 28, 7, 0, 5, 51, 37, 2);
    assertThat(many.sample(90, 8)).containsExactly(85, 88, 10, 12, 45, 30, 2, 3);
  }

  @Test
  void aBatchOfOneGivesWhatManyGive() throws IOException {
    TaskEvaluation evaluation = new TaskEvaluation(decoder, tokenizer, Bos.AUTO);
    ImmutableList<Question> questions = task("piqa").questions(data, 0, OptionalInt.of(3));
    assertThat(questions).hasSize(3);
    ImmutableList<Likelihood> together = evaluation.likelihoods(questions, _ -> {});
    for (int i = 0; i < questions.size(); i++) {
      Likelihood alone = evaluation.likelihoods(List.of(questions.get(i)), _ -> {}).getFirst();
      assertThat(alone.logProbability())
          .isCloseTo(together.get(2 * i).logProbability(), within(1e-4));
    }
  }

  @Test
  void whatIsWrongIsSaid() {
    assertThatThrownBy(() -> catalog.suites("piqa,nope"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no task 'nope'")
        .hasMessageContaining("arc_easy");
    assertThatThrownBy(() -> task("arc_easy").questions(data, 2, OptionalInt.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no file of the split 'train'");
    assertThatThrownBy(() -> task("mmlu_virology").questions(data, 0, OptionalInt.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("mmlu_virology");
    assertThatThrownBy(() -> task("winogrande").shots(OptionalInt.of(1)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("without examples");
    TaskData other =
        (_, _) -> ImmutableList.of(JsonMapper.shared().readTree("{\"goal\": \"a\", \"label\": 7}"));
    assertThatThrownBy(() -> task("piqa").questions(other, 0, OptionalInt.empty()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("row 1 of piqa, validation: 'sol1' is missing");
  }

  @Test
  void groupsHoldTheirTasks() {
    assertThat(catalog.suites("mmlu").getFirst().tasks()).hasSize(57);
    assertThat(catalog.suites("mmlu_stem, piqa"))
        .extracting(suite -> suite.tasks().size())
        .containsExactly(19, 1);
  }
}
