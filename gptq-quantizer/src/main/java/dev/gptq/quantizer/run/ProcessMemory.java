package dev.gptq.quantizer.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The memory that the whole process has resident: heap, tensors, scratch, mapped files, the Java
 * runtime itself. Linux counts it; elsewhere it is not known.
 */
public final class ProcessMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final Pattern NOW = Pattern.compile("VmRSS:\\s+(\\d+) kB");
  private static final Pattern MOST = Pattern.compile("VmHWM:\\s+(\\d+) kB");

  private ProcessMemory() {}

  /** Bytes now. */
  public static OptionalLong now() {
    return bytes(NOW);
  }

  /** The most bytes so far. */
  public static OptionalLong most() {
    return bytes(MOST);
  }

  private static OptionalLong bytes(Pattern line) {
    if (!Files.isReadable(STATUS)) {
      return OptionalLong.empty();
    }
    try {
      return Files.readAllLines(STATUS).stream()
          .map(line::matcher)
          .filter(Matcher::matches)
          .mapToLong(found -> 1024 * Long.parseLong(found.group(1)))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
