package dev.gptq.cli;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.doctor.Checkup;
import dev.gptq.cli.doctor.Finding;
import dev.gptq.cli.options.BackendOption;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Looks at the machine. */
@Command(
    name = "doctor",
    description = {
      "Looks at what a run needs: Java, each backend, the tokenizer library, memory, disk and the"
          + " hub's settings. Each backend that can run is started and multiplies two small"
          + " matrices. What is wrong comes with what to do about it.",
      "",
      "The exit status is 0 unless nothing could run here (69)."
    },
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
  @Mixin private BackendOption backend;

  @Option(names = "--json", description = "print one JSON object")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    Console console = new Console(spec, Console.ProgressMode.NONE);
    List<Finding> findings = Checkup.all(backend.options());
    if (json) {
      ObjectNode document = JsonOutput.object().put("command", "doctor");
      ArrayNode list = document.putArray("findings");
      for (Finding finding : findings) {
        list.addObject()
            .put("subject", finding.subject())
            .put("state", finding.state().word())
            .put("what", finding.what())
            .put("remedy", finding.remedy());
      }
      console.result(JsonOutput.line(document));
    } else {
      for (Finding finding : findings) {
        console.result(
            "%-9s%s: %s".formatted(finding.state().word(), finding.subject(), finding.what()));
        if (!finding.remedy().isEmpty()) {
          console.result(" ".repeat(9) + finding.remedy());
        }
      }
    }
    return findings.stream().anyMatch(f -> f.state() == Finding.State.FAILS)
        ? ExitStatus.UNAVAILABLE
        : ExitStatus.DONE;
  }
}
