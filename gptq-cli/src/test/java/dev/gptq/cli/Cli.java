package dev.gptq.cli;

import com.google.common.collect.Iterators;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Runs commands inside the tests' own process. */
public final class Cli {
  /** The root of the repository, which has the bundled model. */
  static final Path ROOT = Path.of(System.getProperty("gptq.root"));

  static final Path TINY = ROOT.resolve("examples/tiny");
  static final Path CALIBRATION = ROOT.resolve("examples/text/demo-calibration.txt");
  static final Path EVALUATION = ROOT.resolve("examples/text/demo-evaluation.txt");

  /** What a command left behind. */
  public record Outcome(int status, String out, String err) {
    public JsonNode json() {
      return JsonMapper.shared().readTree(out);
    }
  }

  private Cli() {}

  public static Outcome run(Object... arguments) {
    String[] words = words(arguments);
    return run(Main.commandLine(words), words);
  }

  private static String[] words(Object... arguments) {
    return Arrays.stream(arguments).map(Object::toString).toArray(String[]::new);
  }

  private static Outcome run(CommandLine command, String... words) {
    System.setProperty("gptq.home", ROOT.toString());
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    command.setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    int status = Main.run(command, words);
    return new Outcome(status, out.toString(), err.toString());
  }

  /**
   * Many commands, one after the other: to find all options takes several times as long as a short
   * command.
   */
  public static final class Session {
    private final CommandLine command = Main.commandLine();

    public Outcome run(Object... arguments) {
      return Cli.run(command, words(arguments));
    }
  }

  /** The GGUF file that a run has written into a folder. */
  static Path gguf(Path folder) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.gguf")) {
      return Iterators.getOnlyElement(files.iterator());
    }
  }
}
