package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.quantizer.tune.Tuning;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** The options that tune a quantized model end to end. */
public final class TuneOptions {
  @Option(
      names = "--tune",
      paramLabel = "N",
      description =
          "afterwards tune codes and scales of the whole model in at most N steps of 8 windows, so that"
              + " its predictions come close to the full-precision model's; a tenth of the text, at"
              + " most 64 windows, is held out, and where that stops gaining tuning stops; on an H200 1000 steps take 11 s with 6"
              + " million weights, 20 s with 31 million (default: with --quality max 1000)")
  private Integer steps;

  @Option(
      names = "--tune-text",
      paramLabel = "FILE",
      arity = "1..*",
      description =
          "what is tuned with (default: all of the calibration text); the more the better")
  private List<String> files = new ArrayList<>();

  @Option(
      names = "--tune-rate",
      paramLabel = "X",
      description =
          "what a code moves by in the first step; it falls to 0 with the steps (default: 0.003, or"
              + " 0.0015 or 0.00075 where that comes clearly closer in a sixteenth of the steps)")
  private Double rate;

  @Option(
      names = "--tune-momentum",
      paramLabel = "X",
      description =
          "what share of the gradients before a step goes by, from 0 to less than 1; takes four bytes a"
              + " weight more (default: 0.9 where the text is read fewer than four times, else 0)")
  private Double momentum;

  @Option(
      names = "--tune-written",
      paramLabel = "N",
      description =
          "windows that the full-precision model writes itself, each from 16 tokens of the text on, to be"
              + " tuned with beside the text; 0 for none (default: 512, or a token for every 25 weights if that"
              + " is more; no more than the text has too few for all steps, nor than"
              + " a quarter of what these read)")
  private Integer written;

  @Option(
      names = "--tune-chats",
      description =
          "let the windows that the model writes be conversations, of which it writes questions and answers"
              + " as its chat template has them: for models that are asked for answers")
  private boolean chats;

  @Option(
      names = "--tune-blocks",
      paramLabel = "N",
      description =
          "steps in which each block is tuned by itself before, so that what it leaves behind comes close"
              + " to what the full-precision model has there; 0 for none (default: a fifth of --tune)")
  private Integer blocks;

  /**
   * The tuning that was asked for.
   *
   * @param preset whether the quality tunes by itself
   */
  public Optional<Tuning> tuning(boolean preset) {
    List<String> details = details();
    if (steps == null && details.isEmpty()) {
      return Optional.empty();
    }
    if (steps == null && !preset) {
      throw new UsageException(
          details.getFirst() + " is for --tune and --quality max; add one of them");
    }
    if (chats && written != null && written == 0) {
      throw new UsageException(
          "--tune-chats says of what kind the windows are that the model writes, and --tune-written 0"
              + " that it writes none; leave out one of them");
    }
    try {
      return Optional.of(
          new Tuning(
              steps == null ? Tuning.USUAL_STEPS : steps,
              given(rate),
              given(momentum),
              given(written),
              chats,
              given(blocks)));
    } catch (IllegalArgumentException e) {
      throw new UsageException(
          "--tune, --tune-rate, --tune-momentum, --tune-written, --tune-blocks: " + e.getMessage());
    }
  }

  /** The options that were given and say how it is tuned. */
  private List<String> details() {
    Map<String, Boolean> given = new LinkedHashMap<>();
    given.put("--tune-rate", rate != null);
    given.put("--tune-momentum", momentum != null);
    given.put("--tune-written", written != null);
    given.put("--tune-chats", chats);
    given.put("--tune-blocks", blocks != null);
    return given.keySet().stream().filter(given::get).toList();
  }

  private static OptionalDouble given(Double value) {
    return Stream.ofNullable(value).mapToDouble(Double::doubleValue).findFirst();
  }

  private static OptionalInt given(Integer value) {
    return Stream.ofNullable(value).mapToInt(Integer::intValue).findFirst();
  }

  /** The text; empty for that of the calibration. */
  public ImmutableList<Path> text(Console console) throws IOException {
    ImmutableList.Builder<Path> texts = ImmutableList.builder();
    for (String file : files) {
      texts.addAll(HubFiles.texts(file, console));
    }
    return texts.build();
  }
}
