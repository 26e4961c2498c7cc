package dev.gptq.formats;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Models and texts of the repository, and larger ones that some machines have beside it. */
public final class SharedFiles {
  private SharedFiles() {}

  /** A file or folder of the repository, such as {@code examples/tiny}. */
  public static Path bundled(String name) {
    return Path.of(System.getProperty("gptq.root", "..")).resolve(name);
  }

  /** A file or folder that is too large for the repository; the test is skipped without it. */
  public static Path require(String name) {
    Path path = Path.of(System.getProperty("gptq.shared", "../../shared"), name);
    assumeTrue(Files.exists(path), path + " is absent");
    return path;
  }
}
