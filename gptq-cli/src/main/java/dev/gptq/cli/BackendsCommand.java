package dev.gptq.cli;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backends;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.options.BackendOption;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Lists the backends. */
@Command(
    name = "backends",
    description =
        "Lists every backend on the class path: what it would run on, or why it cannot and what to"
            + " do. The first available one is what 'auto' takes.",
    mixinStandardHelpOptions = true)
final class BackendsCommand implements Callable<Integer> {
  @Mixin private BackendOption backend;

  @Option(names = "--json", description = "print one JSON object")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    Console console = new Console(spec, Console.ProgressMode.NONE);
    var all = Backends.discover(backend.options());
    if (json) {
      ObjectNode document = JsonOutput.object();
      ArrayNode list = document.putArray("backends");
      all.forEach(found -> describe(found, list.addObject()));
      console.result(JsonOutput.line(document));
      return ExitStatus.DONE;
    }
    for (Backends.Discovered found : all) {
      switch (found.availability()) {
        case Availability.Available a -> {
          console.result(found.name() + ": available, rank " + a.rank() + ", " + a.device());
          if (!a.features().isEmpty()) {
            console.result(
                "    "
                    + a.features().entrySet().stream()
                        .map(f -> f.getKey() + " " + f.getValue())
                        .collect(Collectors.joining(", ")));
          }
        }
        case Availability.Unavailable u -> {
          console.result(found.name() + ": not available: " + u.reason());
          console.result("    " + u.remedy());
        }
      }
    }
    return ExitStatus.DONE;
  }

  private static void describe(Backends.Discovered found, ObjectNode entry) {
    entry.put("name", found.name());
    switch (found.availability()) {
      case Availability.Available a -> {
        entry.put("available", true);
        entry.put("rank", a.rank());
        entry.put("device", a.device());
        ObjectNode features = entry.putObject("features");
        a.features().forEach(features::put);
      }
      case Availability.Unavailable u -> {
        entry.put("available", false);
        entry.put("reason", u.reason());
        entry.put("remedy", u.remedy());
      }
    }
  }
}
