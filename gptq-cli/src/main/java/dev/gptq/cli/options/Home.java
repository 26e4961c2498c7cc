package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What comes with the distribution: the model and the texts of the demo. */
public final class Home {
  private Home() {}

  public static Path model() {
    return require("examples/tiny");
  }

  /** Prose, code, questions with answers, and many languages: what a model is calibrated with. */
  public static Path calibration() {
    return require("examples/text/mixture.jsonl");
  }

  /** The first half of a novel, of which {@link #evaluation} is the second. */
  public static Path novel() {
    return require("examples/text/demo-calibration.txt");
  }

  public static Path evaluation() {
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
