package dev.gptq.cli;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.hub.HubProgress;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.hub.DownloadPlan;
import dev.gptq.hub.FileSelection;
import dev.gptq.hub.Hub;
import dev.gptq.hub.HubReference;
import dev.gptq.hub.HubSettings;
import dev.gptq.hub.RemoteFile;
import dev.gptq.hub.RepoKind;
import dev.gptq.hub.TransferListener;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Loads files of the hub into the cache. */
@Command(
    name = "download",
    description = {
      "Loads a model, or files of a data set, from the hub into the cache that other programs of"
          + " the hub share, and prints the folder. What is there is not loaded again; what was"
          + " interrupted goes on. Other commands do the same where --model names a model.",
      "",
      "Example: gptq download Qwen/Qwen3-8B"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class DownloadCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "NAME",
      description = "[hf:]owner/name[@revision], before that datasets/ for a data set")
  private String name;

  @Option(
      names = "--include",
      paramLabel = "PATTERN",
      description =
          "load the files that match instead of those that a model in safetensors needs, as in"
              + " '*.gguf' or 'data/**'; repeatable")
  private List<String> include = List.of();

  @Option(names = "--dry-run", description = "say what would be loaded, and stop")
  private boolean dryRun;

  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    HubReference reference = HubReference.parse(name, RepoKind.MODEL);
    TransferListener progress = new HubProgress(console, "loading " + reference);
    try (Hub hub = new Hub(HubSettings.fromEnvironment())) {
      DownloadPlan plan = hub.plan(reference, selection(reference), progress);
      if (!dryRun) {
        HubFiles.load(hub, plan, progress, console);
      }
      if (output.json()) {
        console.result(
            JsonOutput.line(
                JsonOutput.object()
                    .put("command", "download")
                    .put("name", reference.toString())
                    .put("commit", plan.commit())
                    .put("folder", plan.snapshot().toString())
                    .put("files", plan.paths().size())
                    .put("missing_bytes", plan.missingBytes())));
      } else if (dryRun) {
        list(plan, console);
      } else {
        console.result(plan.snapshot().toString());
      }
    }
    return ExitStatus.DONE;
  }

  private FileSelection selection(HubReference reference) {
    if (!reference.path().isEmpty()) {
      if (!include.isEmpty()) {
        throw new UsageException("the name ends in a file, so leave out --include");
      }
      return FileSelection.matching(List.of(reference.path()));
    }
    if (!include.isEmpty()) {
      return FileSelection.matching(include);
    }
    if (reference.repo().kind() == RepoKind.DATASET) {
      throw new UsageException(
          "say which files of the data set are meant: --include '*.jsonl', or all: --include '**'");
    }
    return FileSelection.model();
  }

  private static void list(DownloadPlan plan, Console console) {
    Table table = new Table("file", "MB", "in the cache");
    for (RemoteFile file : plan.files()) {
      table.row(
          file.path(),
          String.format(Locale.ROOT, "%.1f", file.size() / 1e6),
          plan.missing().contains(file) ? "no" : "yes");
    }
    table.lines().forEach(console::result);
    console.result(
        String.format(
            Locale.ROOT,
            "%.1f MB of %.1f MB would be loaded, commit %s",
            plan.missingBytes() / 1e6,
            plan.bytes() / 1e6,
            plan.commit()));
  }
}
