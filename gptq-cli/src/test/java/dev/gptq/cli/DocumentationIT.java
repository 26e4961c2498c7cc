package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Runs the commands of the pages for users that are marked so, two pages at a time. */
@Execution(ExecutionMode.CONCURRENT)
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the launcher is a shell script")
final class DocumentationIT {
  @TempDir private Path temp;

  static List<Path> pages() throws IOException {
    return Documentation.pages().stream().filter(DocumentationIT::runs).toList();
  }

  private static boolean runs(Path page) {
    try {
      return Documentation.marks(page) > 0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @ParameterizedTest
  @MethodSource("pages")
  void commandsWorkAsShown(Path page) throws Exception {
    Path home = temp.resolve("gptq");
    Distribution.copyTo(home);
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
