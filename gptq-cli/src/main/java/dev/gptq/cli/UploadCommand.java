package dev.gptq.cli;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.hub.HubProgress;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.hub.Hub;
import dev.gptq.hub.HubSettings;
import dev.gptq.hub.TransferListener;
import dev.gptq.hub.UploadFile;
import dev.gptq.hub.UploadPlan;
import java.net.URI;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ObjectNode;

/** Puts a finished folder onto the hub. */
@Command(
    name = "upload",
    description = {
      "Puts the files of a finished folder into a model of the hub, which is created if there is"
          + " none, as one commit. What is there already is not sent again; files that are only"
          + " there stay. Needs a token that may write, in HF_TOKEN.",
      "",
      "Example: gptq upload Qwen3-8B-w4 me/Qwen3-8B-w4 --dry-run"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class UploadCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "FOLDER", description = "what a command has written")
  private Path folder;

  @Parameters(
      index = "1",
      paramLabel = "NAME",
      description = "owner/name, or a name alone for the account of the token")
  private String name;

  @Option(names = "--private", description = "only you may see it; fails if it is public already")
  private boolean isPrivate;

  @Option(
      names = "--message",
      paramLabel = "TEXT",
      description = "of the commit (default: ${DEFAULT-VALUE})")
  private String message = "Upload a quantized model";

  @Option(names = "--dry-run", description = "say what would be sent, and stop")
  private boolean dryRun;

  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    TransferListener progress = new HubProgress(console, "sending " + name);
    try (Hub hub = new Hub(HubSettings.fromEnvironment())) {
      UploadPlan plan = hub.planUpload(folder, name, isPrivate, progress);
      if (plan.files().stream().noneMatch(file -> file.path().equals("README.md"))) {
        console.note("there is no README.md in " + folder + ", so its page will be empty");
      }
      ObjectNode document =
          JsonOutput.object()
              .put("command", "upload")
              .put("name", plan.repo().id())
              .put("files", plan.changes().size())
              .put("bytes", plan.bytes());
      if (dryRun) {
        list(plan, document, console);
        return ExitStatus.DONE;
      }
      URI commit;
      try (Interruption _ =
          Interruption.keeping(
              console,
              "; there is no commit yet, large files that are there are not sent again by the same"
                  + " command")) {
        commit = hub.upload(plan, message, progress);
      }
      console.result(
          output.json()
              ? JsonOutput.line(document.put("commit", commit.toString()))
              : commit.toString());
    }
    return ExitStatus.DONE;
  }

  private void list(UploadPlan plan, ObjectNode document, Console console) {
    if (output.json()) {
      console.result(JsonOutput.line(document));
      return;
    }
    Table table = new Table("file", "MB", "there");
    for (UploadFile file : plan.files()) {
      table.row(
          file.path(),
          String.format(Locale.ROOT, "%.1f", file.size() / 1e6),
          switch (file.state()) {
            case NEW -> "no";
            case CHANGED -> "another one";
            case UNCHANGED -> "yes";
          });
    }
    table.lines().forEach(console::result);
    console.result(
        String.format(
            Locale.ROOT,
            "%d files of %.1f MB would be sent to %s, which %s",
            plan.changes().size(),
            plan.bytes() / 1e6,
            plan.repo().id(),
            (plan.head().isPresent() ? "is there" : "would be created")
                + (plan.isPrivate() ? ", private" : ", public")));
  }
}
