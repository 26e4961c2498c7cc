package dev.gptq.models;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Models and texts that are too large for the repository; tests are skipped where absent. */
public final class SharedFiles {
  private SharedFiles() {}

  /** A file or folder, such as {@code models/tiny}. */
  public static Path require(String name) {
    Path path = Path.of(System.getProperty("gptq.shared", "../../shared"), name);
    assumeTrue(Files.exists(path), path + " is absent");
    return path;
  }
}
