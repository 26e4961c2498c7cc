package dev.gptq.quantizer.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The most memory that the whole process had resident: heap, tensors, scratch, mapped files, the
 * Java runtime itself. Linux counts it; elsewhere it is not known.
 */
final class ProcessPeak {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final Pattern PEAK = Pattern.compile("VmHWM:\\s+(\\d+) kB");

  private ProcessPeak() {}

  static OptionalLong bytes() {
    if (!Files.isReadable(STATUS)) {
      return OptionalLong.empty();
    }
    try {
      return Files.readAllLines(STATUS).stream()
          .map(PEAK::matcher)
          .filter(Matcher::matches)
          .mapToLong(line -> 1024 * Long.parseLong(line.group(1)))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
