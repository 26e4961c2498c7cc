package dev.gptq.simd;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The second-level cache of a core, which says how large the blocks of a product may be. */
final class SecondLevelCache {
  private static final Pattern SIZE = Pattern.compile("(\\d{1,6})K");
  private static final long USUAL = 1 << 20;
  private static final long LEAST = 1 << 18;
  private static final long MOST = 1 << 22;

  /** Bytes of this machine's. */
  static final long BYTES = bytes(Path.of("/sys/devices/system/cpu/cpu0/cache"));

  private SecondLevelCache() {}

  /**
   * Bytes, as Linux describes a core's caches in a folder: {@code index2/level} is 2 and {@code
   * index2/size} 2048K. 1 MiB where nothing is said, and from 256 KiB to 4 MiB whatever is said.
   */
  static long bytes(Path caches) {
    try (DirectoryStream<Path> folders = Files.newDirectoryStream(caches, "index*")) {
      for (Path cache : folders) {
        Matcher size = SIZE.matcher(Files.readString(cache.resolve("size")).strip());
        if (Files.readString(cache.resolve("level")).strip().equals("2") && size.matches()) {
          return Math.clamp(Long.parseLong(size.group(1)) << 10, LEAST, MOST);
        }
      }
      return USUAL;
    } catch (IOException e) {
      // Another system, or one that hides it: a usual size costs a few percent of speed at most.
      return USUAL;
    }
  }
}
