package dev.gptq.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** What comes with the distribution: the model and the texts of the demo. */
final class Home {
  private Home() {}

  static Path model() {
    return require("examples/tiny");
  }

  static Path calibration() {
    return require("examples/text/demo-calibration.txt");
  }

  static Path evaluation() {
    return require("examples/text/demo-evaluation.txt");
  }

  private static Path require(String name) {
    String home = System.getProperty("gptq.home");
    if (home == null) {
      throw new UsageException(
          "the folder of the distribution is not known; start with the gptq script, or set"
              + " -Dgptq.home");
    }
    Path path = Path.of(home, name);
    if (!Files.exists(path)) {
      throw new UsageException(path + " is missing; unpack the distribution again");
    }
    return path;
  }
}
