package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The script that completes words in a shell. */
final class CompletionTest {
  @TempDir private Path folder;

  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "the script is one of bash and zsh")
  void bashCompletesCommandsAndOptions() throws Exception {
    Cli.Outcome printed = Cli.run("generate-completion");
    assertThat(printed.status()).as(printed.err()).isZero();
    Path script = Files.writeString(folder.resolve("gptq-completion"), printed.out());
    assertThat(completed(script, "quant")).contains("quantize");
    assertThat(completed(script, "quantize", "--gro")).contains("--group-size");
    assertThat(completed(script, "down")).contains("download");
  }

  @Test
  void aCommandAloneIsTheOneAmongAll() {
    Main.commandLine()
        .getSubcommands()
        .forEach((name, among) -> {
          CommandLine alone = Main.commandLine(name).getSubcommands().get(name);
          assertThat(alone.getUsageMessage()).isEqualTo(among.getUsageMessage());
        });
    assertThat(Main.commandLine("inspect", "model").getSubcommands()).containsOnlyKeys("inspect");
    assertThat(Main.commandLine("help", "inspect").getSubcommands()).containsKey("quantize");
    assertThat(Cli.run("--version").out()).isEqualTo(Cli.run("-V").out()).startsWith("gptq ");
  }

  private List<String> completed(Path script, String... words) throws Exception {
    String commands =
        "set -e; compopt() { :; }; . '%s'; COMP_WORDS=(gptq %s); COMP_CWORD=%d; _complete_gptq; printf '%%s\\n' ${COMPREPLY[@]}"
            .formatted(script, String.join(" ", words), words.length);
    Shell.Result result = Shell.run(folder, Map.of(), List.of("bash", "-c", commands));
    assertThat(result.status()).as(result.err()).isZero();
    return result.out().lines().toList();
  }
}
