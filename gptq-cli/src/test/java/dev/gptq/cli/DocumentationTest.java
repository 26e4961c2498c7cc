package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** Nothing in the pages for users names a command, an option or a file that does not exist. */
final class DocumentationTest {
  private static final String LAUNCHER = "./gptq ";

  static List<Path> pages() throws IOException {
    return Documentation.pages();
  }

  @ParameterizedTest
  @MethodSource("pages")
  void commandsHaveTheOptionsTheyAreShownWith(Path page) throws IOException {
    for (Documentation.Block block : Documentation.blocks(page)) {
      for (String line : block.lines()) {
        int start = line.indexOf(LAUNCHER);
        if (start >= 0) {
          String[] arguments = Documentation.words(line.substring(start + LAUNCHER.length()));
          assertThatCode(() -> parse(arguments))
              .as("%s: %s", page, line)
              .doesNotThrowAnyException();
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("pages")
  void linksLeadToFiles(Path page) throws IOException {
    assertThat(Documentation.links(page))
        .allSatisfy(link -> assertThat(page.resolveSibling(link)).exists());
  }

  @ParameterizedTest
  @MethodSource("pages")
  void everyMarkStandsBeforeAFence(Path page) throws IOException {
    assertThat(Documentation.blocks(page).stream().filter(Documentation.Block::runs).count())
        .isEqualTo(Documentation.marks(page));
  }

  @Test
  void anUnknownOptionWouldBeFound() {
    assertThatCode(() -> parse(Documentation.words("eval --model M --text T --perplexities")))
        .isInstanceOf(CommandLine.ParameterException.class);
  }

  @Test
  void wordsAreSplitAsAShellSplitsThem() {
    assertThat(Documentation.words("generate  --prompt \"a b\" --x='c' 'd e'"))
        .containsExactly("generate", "--prompt", "a b", "--x='c'", "d e");
  }

  @Test
  void theReadmeShowsCommands() throws IOException {
    assertThat(Documentation.blocks(Documentation.root().resolve("README.md")))
        .anyMatch(Documentation.Block::runs)
        .anySatisfy(block -> assertThat(block.lines()).contains("./gptq demo", "mvn verify"));
  }

  private static void parse(String... arguments) {
    new CommandLine(Main.class).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(arguments);
  }
}
