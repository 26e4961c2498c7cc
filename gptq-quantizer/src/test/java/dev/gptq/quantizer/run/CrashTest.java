package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.io.MoreFiles;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Kills a real process (SIGKILL) at random moments of a short run and gives the same command again.
 * {@code -Dgptq.test.kills=500} does it more often.
 */
final class CrashTest {
  private static final int KILLS = Integer.getInteger("gptq.test.kills", 30);

  @TempDir private Path folder;

  private Process start(Path model, Path output) throws IOException {
    return new ProcessBuilder(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Xmx256m",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                KilledRun.class.getName(),
                model.toString(),
                output.toString()))
        .redirectError(folder.resolve("errors").toFile())
        .start();
  }

  /** Waits until the work begins. */
  private static void awaitBeginning(Process process) throws IOException {
    try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
      assertThat(lines.readLine()).isEqualTo(KilledRun.BEGUN);
    }
  }

  private void assertDone(Process process) throws Exception {
    assertThat(process.waitFor()).as(Files.readString(folder.resolve("errors"))).isZero();
  }

  @Test
  void aKilledRunGoesOnToTheSameBytes() throws Exception {
    Path model =
        RandomCheckpoint.write(
            folder.resolve("model"), TinyConfigs.json("llama").put("num_hidden_layers", 4), 11);
    Path whole = folder.resolve("whole");
    Process first = start(model, whole);
    awaitBeginning(first);
    long begun = System.nanoTime();
    assertDone(first);
    long length = System.nanoTime() - begun;

    SplittableRandom random = new SplittableRandom(4);
    Path runs = Files.createDirectory(folder.resolve("runs"));
    Path output = runs.resolve("out");
    int kills = 0;
    int interrupted = 0;
    while (kills < KILLS) {
      Process process = start(model, output);
      awaitBeginning(process);
      if (!process.waitFor(random.nextLong(length), TimeUnit.NANOSECONDS)) {
        process.destroyForcibly().waitFor();
        kills++;
        interrupted += hasWork(output) ? 1 : 0;
        if (Files.exists(output) && !hasWork(output)) {
          // Hit on its way out, with everything done.
          assertSame(output, whole);
          MoreFiles.deleteDirectoryContents(runs);
          continue;
        }
        // Most runs are killed more than once.
        if (kills < KILLS && random.nextInt(4) > 0) {
          continue;
        }
        process = start(model, output);
        awaitBeginning(process);
      }
      assertDone(process);
      assertSame(output, whole);
      try (Stream<Path> left = Files.list(runs)) {
        assertThat(left).containsExactly(output);
      }
      MoreFiles.deleteRecursively(output);
    }
    assertThat(interrupted).as("kills with blocks kept").isPositive();
  }

  private static void assertSame(Path output, Path whole) {
    for (String file : List.of("model.safetensors", "config.json")) {
      assertThat(output.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }
  }

  private static boolean hasWork(Path output) throws IOException {
    try (Stream<Path> siblings = Files.list(output.getParent())) {
      return siblings.anyMatch(path -> path.getFileName().toString().startsWith(".out.work-"));
    }
  }
}
