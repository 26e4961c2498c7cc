package dev.gptq.cli;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.FormatConverter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Changes the format of a quantized checkpoint without loss. */
@Command(
    name = "convert",
    description =
        "Rewrites a quantized checkpoint in another format of the same values; codes and scales stay"
            + " as they are.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class ConvertCommand implements Callable<Integer> {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder of a quantized model")
  private Path model;

  @Option(names = "--output", required = true, paramLabel = "DIR", description = "folder to write")
  private Path target;

  @Option(
      names = "--format",
      required = true,
      paramLabel = "NAME",
      description = "gptq (zero points stored less one) or gptq_v2 (stored as they are)")
  private String format;

  @Option(names = "--overwrite", description = "replace the output folder when done")
  private boolean overwrite;

  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    GptqConfig.Version version = Formats.version(format);
    try (Model opened = Model.open(model)) {
      if (opened.quantization().isEmpty()) {
        throw new BadInputException(
            model + " is not quantized; 'gptq quantize' makes a quantized checkpoint of it");
      }
      int modules = FormatConverter.convert(opened, version, target, overwrite);
      if (output.json()) {
        console.result(
            Json.line(
                Json.object()
                    .put("command", "convert")
                    .put("output", target.toString())
                    .put("format", format)
                    .put("modules", modules)));
      } else {
        console.result("wrote " + target + ": " + modules + " modules as " + format);
      }
    }
    return ExitStatus.DONE;
  }
}
