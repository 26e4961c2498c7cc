package dev.gptq.quantizer.pipeline;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What Linux counts of memory, in bytes; elsewhere it is not known. That of the process is all that
 * it has resident: heap, tensors, scratch, mapped files, the Java runtime itself.
 */
public final class MemoryCounts {
  private static final Path PROCESS = Path.of("/proc/self/status");
  private static final Path MACHINE = Path.of("/proc/meminfo");
  private static final Pattern NOW = Pattern.compile("VmRSS:\\s+(\\d+) kB");
  private static final Pattern MOST = Pattern.compile("VmHWM:\\s+(\\d+) kB");
  private static final Pattern AVAILABLE = Pattern.compile("MemAvailable:\\s+(\\d+) kB");

  private MemoryCounts() {}

  /** Of the process now. */
  public static OptionalLong now() {
    return bytes(PROCESS, NOW);
  }

  /** The most of the process so far. */
  public static OptionalLong most() {
    return bytes(PROCESS, MOST);
  }

  /** What the machine can still give. */
  static OptionalLong available() {
    return bytes(MACHINE, AVAILABLE);
  }

  private static OptionalLong bytes(Path counts, Pattern line) {
    if (!Files.isReadable(counts)) {
      return OptionalLong.empty();
    }
    try {
      return Files.readAllLines(counts).stream()
          .map(line::matcher)
          .filter(Matcher::matches)
          .mapToLong(found -> 1024 * Long.parseLong(found.group(1)))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
