package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * Runs the commands of the pages for users that are marked so: those of the README, and pages that
 * need a shell, as a user does; all others one after the other in one process, since most of a
 * short command's time goes into compiling the same kernels again.
 */
@Execution(ExecutionMode.CONCURRENT)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the launcher is a shell script")
final class DocumentationIT {
  @TempDir private Path temp;

  private static boolean needsShell(Path page) throws IOException {
    return page.endsWith("README.md")
        || !Documentation.commands(page).stream()
            .allMatch(line -> line.matches("\\./gptq [^|>&;$]*"));
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void commandsWorkInTheShell() throws Exception {
    Path home = temp.resolve("gptq");
    Distribution.copyTo(home);
    int pages = 0;
    for (Path page : Documentation.pages()) {
      if (needsShell(page)) {
        pages++;
        for (Documentation.Block block : Documentation.blocks(page)) {
          if (block.runs()) {
            Shell.Result result =
                Shell.run(home, Map.of(), List.of("sh", "-e", "-c", block.commands()));
            assertThat(result.status())
                .as("%s: %s%n%s%s", page, block.commands(), result.out(), result.err())
                .isZero();
          }
        }
      }
    }
    assertThat(pages).isPositive();
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void commandsWorkOneAfterTheOther() throws Exception {
    Path home = temp.resolve("gptq");
    Distribution.copyTo(home);
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("@" + home.resolve("config/jvm.args"));
    command.add("-Dgptq.home=" + home);
    command.add("-cp");
    command.add(home.resolve("lib") + "/*" + File.pathSeparator + testClasses());
    command.add(ManyCommands.class.getName());
    for (Path page : Documentation.pages()) {
      if (!needsShell(page) && Documentation.marks(page) > 0) {
        Path file = temp.resolve(page.getFileName() + ".commands");
        Files.write(file, Documentation.commands(page));
        command.add(file.toString());
      }
    }
    Shell.Result result = Shell.run(home, Map.of("RUST_FLAVOR", "cpu"), command);
    assertThat(result.status()).as("%s%s", result.out(), result.err()).isZero();
  }

  private static Path testClasses() throws Exception {
    return Path.of(ManyCommands.class.getProtectionDomain().getCodeSource().getLocation().toURI());
  }
}
