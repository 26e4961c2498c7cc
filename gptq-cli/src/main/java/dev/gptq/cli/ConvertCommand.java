package dev.gptq.cli;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.options.EndsOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.options.PublicationOptions;
import dev.gptq.quantizer.export.Conversion;
import dev.gptq.quantizer.gguf.Ends;
import dev.gptq.quantizer.gguf.GgufExport;
import dev.gptq.quantizer.run.CheckpointFormats;
import java.io.IOException;
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
  private static final String GGUF = "gguf";

  @Mixin private ModelOption model;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "PATH",
      description = "folder to write; with --format gguf the file")
  private Path target;

  @Option(
      names = "--format",
      required = true,
      paramLabel = "NAME",
      description =
          "gptq (zero points stored less one), gptq_v2 (stored as they are), compressed-tensors, awq,"
              + " mlx, or gguf (for llama.cpp); 'gptq quantize --help' says who loads them")
  private String format;

  @Mixin private EndsOption ends;
  @Mixin private PublicationOptions publication;

  @Option(names = "--overwrite", description = "replace the output when done")
  private boolean overwrite;

  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    GgufExport.Written written = convert(model.folder(console), console);
    if (output.json()) {
      console.result(
          JsonOutput.line(
              JsonOutput.object()
                  .put("command", "convert")
                  .put("output", written.first().toString())
                  .put("format", format)
                  .put("modules", written.modules())));
    } else {
      console.result(
          "wrote %s: %d modules as %s".formatted(written.first(), written.modules(), format));
    }
    return ExitStatus.DONE;
  }

  private GgufExport.Written convert(Path folder, Console console) throws IOException {
    if (format.equals(GGUF)) {
      publication.requireNoCard();
      return GgufExport.write(
          folder, target, ends.type().orElse(Ends.KEEP), publication.shardSize(), overwrite);
    }
    int modules =
        Conversion.of(folder, CheckpointFormats.named(format))
            .publication(publication.publication())
            .overwrite(overwrite)
            .warnings(console::warning)
            .to(target);
    return new GgufExport.Written(target, modules);
  }
}
