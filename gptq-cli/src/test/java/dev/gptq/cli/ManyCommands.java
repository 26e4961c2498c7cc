package dev.gptq.cli;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A program for tests: the command line run many times in one process, which compiles its kernels
 * once. The arguments are files that hold a command a line; what the commands of a file leave in
 * the working folder is deleted before the next file. Fails at the first command whose status is
 * not zero, naming it.
 */
public final class ManyCommands {
  private ManyCommands() {}

  public static void main(String[] files) throws IOException {
    Path here = Path.of("").toAbsolutePath();
    Set<Path> kept = entries(here);
    for (String file : files) {
      for (String line : Files.readAllLines(Path.of(file))) {
        String[] words = Documentation.words(line);
        String[] arguments = Arrays.copyOfRange(words, 1, words.length);
        int status = Main.run(Main.commandLine(arguments), arguments);
        if (status != 0) {
          throw new IllegalStateException(file + ": status " + status + " of " + line);
        }
      }
      for (Path entry : entries(here)) {
        if (!kept.contains(entry)) {
          MoreFiles.deleteRecursively(entry, RecursiveDeleteOption.ALLOW_INSECURE);
        }
      }
    }
  }

  private static Set<Path> entries(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.collect(Collectors.toSet());
    }
  }
}
