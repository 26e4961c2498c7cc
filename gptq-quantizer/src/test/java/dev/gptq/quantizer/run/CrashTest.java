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
import java.util.ArrayList;
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

  private Process start(Path model, Path output, String... more) throws IOException {
    List<String> command =
        new ArrayList<>(
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
                output.toString()));
    command.addAll(List.of(more));
    return new ProcessBuilder(command).redirectError(folder.resolve("errors").toFile()).start();
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

  /** While an older checkpoint is replaced there is always a whole one, or two in reach. */
  @Test
  void aRunThatObservesAndReplacesIsKilled() throws Exception {
    Path model = RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json("llama"), 11);
    Path older = folder.resolve("older");
    Path whole = folder.resolve("whole");
    assertDone(begun(start(model, older)));
    Process first = begun(start(model, whole, "observe"));
    long begun = System.nanoTime();
    assertDone(first);
    long length = System.nanoTime() - begun;

    SplittableRandom random = new SplittableRandom(5);
    Path runs = Files.createDirectory(folder.resolve("runs"));
    Path output = runs.resolve("out");
    for (int kill = 0; kill < Math.max(3, KILLS / 10); kill++) {
      if (!Files.exists(output)) {
        assertDone(begun(start(model, output)));
      }
      Process process = begun(start(model, output, "observe"));
      if (!process.waitFor(random.nextLong(length), TimeUnit.NANOSECONDS)) {
        process.destroyForcibly().waitFor();
        Path standing = Files.exists(output) ? output : runs.resolve(".out.replaced");
        byte[] weights = Files.readAllBytes(standing.resolve("model.safetensors"));
        assertThat(List.of(older, whole))
            .anySatisfy(
                one -> assertThat(one.resolve("model.safetensors")).hasBinaryContent(weights));
        if (random.nextInt(3) > 0) {
          continue;
        }
        process = begun(start(model, output, "observe"));
      }
      assertDone(process);
      assertSame(output, whole);
      try (Stream<Path> left = Files.list(runs)) {
        assertThat(left).containsExactly(output);
      }
      MoreFiles.deleteRecursively(output);
    }
  }

  private static Process begun(Process process) throws IOException {
    awaitBeginning(process);
    return process;
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
