package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What a release is made of stays in step with the modules and the launcher. */
final class ReleaseTest {
  private static final Path ROOT = Path.of(System.getProperty("gptq.root"));

  @Test
  void theBillOfMaterialsHasEveryModuleThatIsPublishedInItsVersion() throws IOException {
    String bom = read("gptq-bom/pom.xml");
    assertThat(first(bom, "<artifactId>gptq-bom</artifactId>\\s*<version>(.*?)</version>"))
        .isEqualTo(
            first(
                read("pom.xml"),
                "<artifactId>gptq-parent</artifactId>\\s*<version>(.*?)</version>"));
    List<String> published =
        all(read("pom.xml"), "<module>(.*?)</module>")
            .filter(module -> !List.of("gptq-bom", "gptq-bench").contains(module))
            .toList();
    assertThat(
            all(bom.substring(bom.indexOf("<dependencies>")), "<artifactId>(gptq-.*?)</").toList())
        .containsExactlyInAnyOrderElementsOf(published);
  }

  @Test
  void theLauncherOfWindowsStartsWhatTheOtherStarts() throws IOException {
    String windows = read("gptq.cmd");
    String line = read("gptq").lines().filter(l -> l.contains("exec ")).findFirst().orElseThrow();
    assertThat(windows)
        .contains("@%distribution%\\config\\jvm.args", "@%distribution%\\config\\generate.args")
        .contains("-Dgptq.home=%distribution%", "%GPTQ_JAVA_OPTS%", "RUST_FLAVOR=cpu")
        .contains("%distribution%\\lib\\*", "dev.gptq.cli.Main %*")
        .contains("exit /b 78");
    assertThat(line).contains("jvm.args", "-Dgptq.home=", "GPTQ_JAVA_OPTS", "RUST_FLAVOR=cpu");
    assertThat(windows.replace("\r\n", "")).as("ends of lines").doesNotContain("\n");
  }

  /** Those of the scripts, actions and files that the workflows name. */
  @Test
  void workflowsRunScriptsThatAreThere() throws IOException {
    String workflows = read(".github/workflows/ci.yml") + read(".github/workflows/release.yml");
    List<String> scripts =
        all(workflows, "(?<![\\w/])((?:gptq-cli|\\.ci|interop)/[\\w.]+(?:\\.sh)?)(?=[ )\\n\"])")
            .distinct()
            .toList();
    assertThat(scripts).contains("gptq-cli/archive.sh", ".ci/run", ".ci/nvcc");
    for (String script : scripts) {
      if (!script.endsWith("/target")) {
        assertThat(ROOT.resolve(script)).isExecutable();
      }
    }
    assertThat(ROOT.resolve("Containerfile")).exists();
    assertThat(all(workflows, "uses: \\S+@(\\S+)"))
        .allMatch(commit -> commit.matches("[0-9a-f]{40}"));
  }

  private static String read(String file) throws IOException {
    return Files.readString(ROOT.resolve(file));
  }

  private static String first(String text, String regex) {
    return all(text, regex).findFirst().orElseThrow();
  }

  private static Stream<String> all(String text, String regex) {
    return Pattern.compile(regex).matcher(text).results().map(ReleaseTest::group);
  }

  private static String group(MatchResult match) {
    return match.group(1);
  }
}
