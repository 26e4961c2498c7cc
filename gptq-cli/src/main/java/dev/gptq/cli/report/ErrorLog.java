package dev.gptq.cli.report;

import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import dev.gptq.quantizer.observe.ClassicLog;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;

/**
 * A log as a file: lines of JSON, or the lines of text that {@link ClassicLog} describes.
 *
 * @param file what was read
 * @param reports the modules; empty for a log of text
 * @param errors the points to plot
 */
public record ErrorLog(Path file, List<ModuleReport> reports, List<LoggedError> errors) {
  private static final int MOST_LAYERS = 100_000;

  private static final Pattern QUANTIZING =
      Pattern.compile("Quantizing (\\S+) in layer (\\d+)/\\d+.*");
  private static final Pattern OPTIMIZING = Pattern.compile("Optimizing (\\S+) (\\d+) .*");
  private static final Pattern MEASURED = Pattern.compile(".*, error (\\S+)");

  /** Reads a log, or that of a checkpoint's folder. */
  public static ErrorLog read(Path log) throws IOException {
    Path file = Files.isDirectory(log) ? log.resolve(QuantizationLog.FILE) : log;
    List<String> lines = lines(file);
    ErrorLog read =
        !lines.isEmpty() && QUANTIZING.matcher(lines.getFirst()).matches()
            ? new ErrorLog(file, List.of(), classic(file, lines))
            : json(file, lines);
    if (!read.hasErrors()) {
      throw new BadInputException(
          file + " has no errors to draw; rounding to nearest measures none without calibration");
    }
    return read;
  }

  private static List<String> lines(Path file) throws IOException {
    try {
      return Files.readAllLines(file);
    } catch (CharacterCodingException e) {
      throw new BadInputException(
          "%s is no text and so no log; give the folder that 'gptq quantize' wrote it into, with %s, or"
                  .formatted(file, QuantizationLog.FILE)
              + " --weights MODULE for the weights of a model",
          e);
    }
  }

  /** The log that a quantization left in a checkpoint; empty if there is none, or no errors. */
  static Optional<ErrorLog> ofCheckpoint(Path folder) throws IOException {
    Path file = folder.resolve(QuantizationLog.FILE);
    return Files.isRegularFile(file)
        ? Optional.of(json(file, Files.readAllLines(file))).filter(ErrorLog::hasErrors)
        : Optional.empty();
  }

  private boolean hasErrors() {
    return errors.stream().anyMatch(e -> Double.isFinite(e.error()) && e.error() > 0);
  }

  private static ErrorLog json(Path file, List<String> lines) {
    List<ModuleReport> reports = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      try {
        reports.add(QuantizationLog.parse(lines.get(i)));
      } catch (JacksonException e) {
        throw new BadInputException(
            file
                + ", line "
                + (i + 1)
                + ": not a line of a quantization log; 'gptq quantize' writes "
                + QuantizationLog.FILE);
      }
    }
    return new ErrorLog(file, reports, reports.stream().map(LoggedError::of).toList());
  }

  /** The last error of a module is the one that counts. */
  private static List<LoggedError> classic(Path file, List<String> lines) {
    Map<String, LoggedError> errors = new LinkedHashMap<>();
    String module = "";
    int layer = 0;
    for (int i = 0; i < lines.size(); i++) {
      Matcher quantizing = QUANTIZING.matcher(lines.get(i));
      Matcher optimizing = OPTIMIZING.matcher(lines.get(i));
      Matcher measured = MEASURED.matcher(lines.get(i));
      if (quantizing.matches()) {
        module = quantizing.group(1);
        layer = layer(file, i, quantizing.group(2)) - 1;
      } else if (optimizing.matches()) {
        module = optimizing.group(1);
        layer = layer(file, i, optimizing.group(2));
      } else if (measured.matches()) {
        try {
          double error = Double.parseDouble(measured.group(1));
          errors.put(
              layer + " " + module,
              new LoggedError(layer, module, error, Double.NaN, Optional.empty()));
        } catch (NumberFormatException e) {
          throw new BadInputException(
              file + ", line " + (i + 1) + ": '" + measured.group(1) + "' is no number");
        }
      }
    }
    return List.copyOf(errors.values());
  }

  private static int layer(Path file, int line, String digits) {
    Integer layer = Ints.tryParse(digits);
    if (layer == null || layer > MOST_LAYERS) {
      throw new BadInputException(
          "%s, line %d: no model has a layer %s".formatted(file, line + 1, digits));
    }
    return layer;
  }
}
