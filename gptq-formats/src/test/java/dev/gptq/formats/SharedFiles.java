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

  /**
   * A small checkpoint of one architecture with what its forward pass should give. One of each
   * family is part of the repository; a test of another is skipped where it is absent.
   */
  public static Path architecture(String name) {
    Path bundled = bundled("gptq-models/src/test/checkpoints").resolve(name);
    return Files.exists(bundled) ? bundled : require("models/architectures/" + name);
  }

  /** A file or folder that is too large for the repository; the test is skipped without it. */
  public static Path require(String name) {
    Path path = Path.of(System.getProperty("gptq.shared", "../../shared"), name);
    assumeTrue(Files.exists(path), path + " is absent");
    return path;
  }
}
