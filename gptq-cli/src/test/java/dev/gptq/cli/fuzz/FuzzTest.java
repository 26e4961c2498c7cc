package dev.gptq.cli.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.io.TempDirFactory;

/**
 * Changed files of every kind. {@code -Dgptq.test.fuzz=1000000} tries more of them, {@code
 * -Dgptq.test.fuzz.first=N} begins with another number, and {@code -Dgptq.test.fuzz.folder=DIR}
 * keeps there what was found and, in {@code last}, the number of the input that is being tried.
 */
final class FuzzTest {
  private static final long INPUTS = Long.getLong("gptq.test.fuzz", 120);
  private static final long FIRST = Long.getLong("gptq.test.fuzz.first", 0);
  private static final String FOLDER = System.getProperty("gptq.test.fuzz.folder", "");
  private static final int MOST_FINDINGS = 200;

  @TempDir(factory = InMemory.class)
  private static Path root;

  private static Fuzzer fuzzer;

  /** Where there is a file system in memory, a hundred thousand inputs wear no disk. */
  static final class InMemory implements TempDirFactory {
    @Override
    public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext context)
        throws IOException {
      Path memory = Path.of("/dev/shm");
      return Files.isWritable(memory)
          ? Files.createTempDirectory(memory, "fuzz")
          : Files.createTempDirectory("fuzz");
    }
  }

  @BeforeAll
  static void open() throws Exception {
    fuzzer = new Fuzzer(root);
  }

  @AfterAll
  static void close() {
    fuzzer.close();
  }

  @Test
  void changedFilesGetAnAnswer() throws Exception {
    List<String> found = new ArrayList<>();
    Set<String> kinds = new HashSet<>();
    // Opened once: a disk would wait for each file that is emptied and written.
    try (RandomAccessFile last =
        new RandomAccessFile(
            FOLDER.isEmpty() ? root.resolve("last").toFile() : Path.of(FOLDER, "last").toFile(),
            "rw")) {
      for (long number = FIRST; number < FIRST + INPUTS && found.size() < MOST_FINDINGS; number++) {
        last.seek(0);
        last.writeBytes(number + "\n");
        fuzzer
            .attempt(number)
            .ifPresent(finding -> {
              String kind = finding.what().lines().limit(4).reduce("", (a, b) -> a + b);
              if (kinds.add(kind.replaceAll("[0-9]+", "N"))) {
                found.add(keep(finding));
              }
            });
      }
    }
    assertThat(found).isEmpty();
  }

  private static String keep(Fuzzer.Finding finding) {
    String text =
        "%d %s: %s%n%s%n"
            .formatted(finding.number(), finding.name(), finding.command(), finding.what());
    if (!FOLDER.isEmpty()) {
      try {
        Path file = Path.of(FOLDER, finding.name() + "-" + finding.number());
        Files.write(file, finding.input());
        Files.writeString(Path.of(FOLDER, finding.number() + ".txt"), text);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return text;
  }

  /** What an earlier search found, in files named {@code CASE-NUMBER}. */
  @Test
  void whatWasFoundOnceStaysMended() throws Exception {
    Path corpus = Path.of(FuzzTest.class.getResource("corpus").toURI());
    List<Path> inputs;
    try (Stream<Path> files = Files.list(corpus)) {
      inputs = files.sorted(Comparator.naturalOrder()).toList();
    }
    assertThat(inputs).isNotEmpty();
    for (Path input : inputs) {
      String name = input.getFileName().toString();
      assertThat(
              fuzzer.attempt(name.substring(0, name.lastIndexOf('-')), Files.readAllBytes(input)))
          .as(name)
          .isEmpty();
    }
  }
}
