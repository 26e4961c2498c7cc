package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The folder for machines without a JDK. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the scripts are shell scripts")
final class PortableIT {
  private static final String SCRIPT =
      Path.of(System.getProperty("gptq.root"), "gptq-cli", "portable.sh").toString();
  private static final Map<String, String> NO_JDK =
      Map.of("PATH", "/usr/bin:/bin", "GPTQ_JAVA_HOME", "", "JAVA_HOME", "");

  @TempDir private Path temp;

  @Test
  void runsOnItsOwnRuntime() throws Exception {
    Path folder = temp.toRealPath().resolve("to go");
    Shell.Result made = make(folder);
    assertThat(made.status()).as(made.err()).isZero();

    Shell.Result version =
        gptq(folder, Map.of("GPTQ_JAVA_OPTS", "-XshowSettings:properties"), "--version");
    assertThat(version.status()).as(version.err()).isZero();
    assertThat(version.out()).contains("gptq 0.").contains("Java 25");
    assertThat(version.err()).contains("java.home = " + folder.resolve("jre"));
    assertThat(folder.resolve("config/classes.jsa")).exists();

    Shell.Result quantized =
        gptq(
            folder,
            Map.of("GPTQ_BACKEND", "simd"),
            "quantize",
            "--model=examples/tiny",
            "--output=w8",
            "--bits=8",
            "--samples=1",
            "--seq-len=32");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    assertThat(folder.resolve("w8/model.safetensors")).exists();
  }

  @Test
  void leavesAFolderThatExistsAlone() throws Exception {
    Shell.Result refused = make(temp);
    assertThat(refused.status()).isEqualTo(65);
    assertThat(refused.err()).contains("exists");
    assertThat(temp).isEmptyDirectory();
  }

  private Shell.Result make(Path folder) throws Exception {
    return Shell.run(
        temp,
        Map.of("GPTQ_JAVA_HOME", System.getProperty("java.home")),
        List.of("sh", SCRIPT, folder.toString(), System.getProperty("gptq.distribution")));
  }

  private static Shell.Result gptq(Path folder, Map<String, String> more, String... arguments)
      throws Exception {
    ArrayList<String> command = new ArrayList<>(List.of("bin/gptq"));
    command.addAll(List.of(arguments));
    HashMap<String, String> environment = new HashMap<>(NO_JDK);
    environment.putAll(more);
    return Shell.run(folder, environment, command);
  }
}
