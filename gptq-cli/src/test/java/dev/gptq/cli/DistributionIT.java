package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.cli.console.ExitStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The distribution, copied elsewhere and started as a user starts it. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the launcher is a shell script")
final class DistributionIT {
  @TempDir private Path temp;

  private Path home;

  @BeforeEach
  void copy() throws IOException {
    home = temp.resolve("a copy");
    Distribution.copyTo(home);
  }

  @Test
  void removingAJarRemovesItsBackendAndPuttingItBackBringsItBack() throws Exception {
    List<String> all = backends();
    assertThat(all).contains("reference", "simd");
    List<String> others = new ArrayList<>(all);
    others.remove("simd");

    Path jar = jar("gptq-simd-");
    Path away = temp.resolve(jar.getFileName());
    Files.move(jar, away);
    assertThat(backends()).isEqualTo(others);
    Shell.Result refused =
        gptq("generate", "--model", "examples/tiny", "--prompt", "A", "--backend", "simd");
    assertThat(refused.status()).isEqualTo(ExitStatus.UNAVAILABLE);
    assertThat(refused.err()).contains("simd").contains("lib");

    Files.move(away, jar);
    assertThat(backends()).isEqualTo(all);
  }

  @Test
  void printsNothingOfTheTokenizerLibrary() throws Exception {
    Shell.Result result =
        gptq("generate", "--model", "examples/tiny", "--prompt", "The", "--max-tokens", "2");
    assertThat(result.status()).as(result.err()).isZero();
    assertThat(result.out()).startsWith("The");
    assertThat(result.err()).doesNotContain("SLF4J").doesNotContain("ai.djl");
  }

  @Test
  void knowsItsVersion() throws Exception {
    assertThat(gptq("--version").out()).contains("gptq 0.").contains("Java 25");
  }

  @Test
  void tellsWrongUsageByItsStatus() throws Exception {
    assertThat(gptq("quantise").status()).isEqualTo(ExitStatus.USAGE);
    assertThat(gptq("inspect", temp.toString()).status()).isEqualTo(ExitStatus.BAD_INPUT);
  }

  private List<String> backends() throws Exception {
    Shell.Result result = gptq("backends", "--json");
    assertThat(result.status()).as(result.err()).isZero();
    List<String> names = new ArrayList<>();
    for (JsonNode backend : JsonMapper.shared().readTree(result.out()).get("backends")) {
      names.add(backend.get("name").asString());
    }
    return names;
  }

  private Path jar(String prefix) throws IOException {
    try (Stream<Path> jars = Files.list(home.resolve("lib"))) {
      return jars.filter(jar -> jar.getFileName().toString().startsWith(prefix))
          .findFirst()
          .orElseThrow();
    }
  }

  private Shell.Result gptq(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("./gptq"));
    command.addAll(List.of(arguments));
    return Shell.run(home, Map.of("GPTQ_BACKEND", ""), command);
  }
}
