package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.ProgressLines;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.TaskOptions;
import dev.gptq.cli.report.EvaluationPage;
import dev.gptq.cli.report.HtmlPage;
import dev.gptq.cli.report.TaskReport;
import dev.gptq.models.Model;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.tasks.Question;
import dev.gptq.models.tasks.Task;
import dev.gptq.models.tasks.TaskCatalog.Suite;
import dev.gptq.models.tasks.TaskEvaluation;
import dev.gptq.models.tasks.TaskResult;
import dev.gptq.models.text.Bos;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Asks one or two models, one after the other, the questions of tasks. */
final class TaskMeasurement {
  private final TaskOptions options;
  private final Bos bos;
  private final Console console;
  private final boolean json;
  private final Optional<EvaluationPage> page;

  TaskMeasurement(
      TaskOptions options, Bos bos, Console console, boolean json, Optional<EvaluationPage> page) {
    this.options = options;
    this.bos = bos;
    this.console = console;
    this.json = json;
    this.page = page;
  }

  int run(ModelOption model, Optional<String> against, BackendOption backendOption)
      throws IOException {
    ImmutableList<Suite> suites = options.suites();
    Map<Task, ImmutableList<Question>> questions = new LinkedHashMap<>();
    for (Suite suite : suites) {
      for (Task task : suite.tasks()) {
        if (!questions.containsKey(task)) {
          questions.put(
              task, task.questions(options.data(console), options.shots(task), options.limit()));
        }
      }
    }
    Path folder = model.folder(console);
    Optional<Path> base =
        against.isPresent()
            ? Optional.of(HubFiles.model(against.get(), console))
            : Optional.empty();
    if (page.isPresent()) {
      HtmlPage.requirePlace(
          page.get().folder(), Stream.concat(Stream.of(folder), base.stream()).toList());
    }
    try (Backend backend = backendOption.open(console);
        Interruption _ =
            Interruption.losing(console, "; of answers to some of the questions nothing is kept")) {
      Map<Task, TaskResult> results = measure(folder, questions, backend);
      Optional<Map<Task, TaskResult>> other =
          base.isPresent()
              ? Optional.of(measure(base.get(), questions, backend))
              : Optional.empty();
      TaskReport report = new TaskReport(suites, results, other);
      if (page.isPresent()) {
        String title =
            EvalCommand.title(model.name(), against)
                + " in "
                + suites.stream().map(Suite::name).collect(Collectors.joining(", "));
        console.note("wrote " + page.get().write(title, backend, folder, base, report::addTo));
      }
      if (json) {
        console.result(
            JsonOutput.line(
                report.json(
                    JsonOutput.command("eval", backend)
                        .put("model", model.name())
                        .put("against", against.orElse(null)))));
      } else {
        report.lines().forEach(console::result);
      }
    }
    return ExitStatus.DONE;
  }

  private Map<Task, TaskResult> measure(
      Path folder, Map<Task, ImmutableList<Question>> questions, Backend backend)
      throws IOException {
    Map<Task, TaskResult> results = new LinkedHashMap<>();
    try (Model model = Model.open(folder);
        Tokenizer tokenizer = model.tokenizer();
        Decoder decoder = model.load(backend)) {
      model.warnings().forEach(console::warning);
      TaskEvaluation evaluation = new TaskEvaluation(decoder, tokenizer, bos);
      for (Map.Entry<Task, ImmutableList<Question>> each : questions.entrySet()) {
        Task task = each.getKey();
        results.put(
            task,
            evaluation.run(
                task,
                options.shots(task),
                each.getValue(),
                ProgressLines.requests(
                    console, task.name(), TaskEvaluation.steps(each.getValue()))));
      }
    }
    console.endProgress();
    return results;
  }
}
