package dev.gptq.cli;

import dev.gptq.models.BadInputException;
import dev.gptq.models.pipeline.ModuleReport;
import dev.gptq.models.pipeline.QuantizationLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.core.JacksonException;

/** Draws quantization logs. */
@Command(
    name = "plot",
    description =
        "Draws the error of every module against its layer, one line a kind of module; several logs"
            + " side by side. Needs no display.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class PlotCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "LOG",
      arity = "1..*",
      description = "quantization-log.jsonl, or the folder of a quantized checkpoint")
  private List<Path> logs;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "FILE.png",
      description = "picture to write")
  private Path output;

  @Option(
      names = "--relative",
      description = "errors relative to the module's output, which makes modules comparable")
  private boolean relative;

  @Option(names = "--log", description = "logarithmic axis of errors")
  private boolean logarithmic;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    if (!output.toString().endsWith(".png")) {
      throw new UsageException("--output must end in .png but is " + output);
    }
    Map<String, List<ModuleReport>> titled = new LinkedHashMap<>();
    for (Path log : logs) {
      titled.put(log.toString(), read(log));
    }
    System.setProperty("java.awt.headless", "true");
    ErrorPlot.write(titled, new ErrorPlot.Style(relative, logarithmic), output);
    new Console(spec, Console.Progress.NONE).result("wrote " + output);
    return ExitStatus.DONE;
  }

  private static List<ModuleReport> read(Path log) throws IOException {
    Path file = Files.isDirectory(log) ? log.resolve(QuantizationLog.FILE) : log;
    List<ModuleReport> reports = new ArrayList<>();
    int number = 0;
    for (String line : Files.readAllLines(file)) {
      number++;
      try {
        reports.add(QuantizationLog.parse(line));
      } catch (JacksonException e) {
        throw new BadInputException(
            file
                + ", line "
                + number
                + ": not a line of a quantization log; 'gptq quantize' writes "
                + QuantizationLog.FILE);
      }
    }
    if (reports.isEmpty() || reports.stream().allMatch(r -> Double.isNaN(r.error()))) {
      throw new BadInputException(
          file + " has no errors to draw; rounding to nearest measures none without calibration");
    }
    return reports;
  }
}
