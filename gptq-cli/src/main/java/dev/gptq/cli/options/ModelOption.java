package dev.gptq.cli.options;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The option that names a model. */
public final class ModelOption {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder with config.json, safetensors and tokenizer.json")
  private Path model;

  /** The folder. */
  public Path folder() {
    return model;
  }
}
