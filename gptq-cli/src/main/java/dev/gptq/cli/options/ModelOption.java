package dev.gptq.cli.options;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.hub.HubFiles;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The option that names a model. */
public final class ModelOption {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "MODEL",
      description =
          "folder with config.json, safetensors and tokenizer.json, or a GGUF file, or a model on the"
              + " hub: [hf:]owner/name[@revision]")
  private String model;

  /** The model as it was named. */
  public String name() {
    return model;
  }

  /** The folder, whose files are loaded from the hub if they have to be. */
  public Path folder(Console console) throws IOException {
    return HubFiles.model(model, console);
  }
}
