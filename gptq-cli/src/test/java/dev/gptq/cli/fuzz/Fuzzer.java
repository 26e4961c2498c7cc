package dev.gptq.cli.fuzz;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.cli.Cli;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;

/**
 * Gives commands files that were changed at random. Whatever they hold, a command ends soon, with a
 * status and a sentence of ours, opens nothing outside its folder and takes no memory out of
 * proportion. An input has a number, which with the same seeds makes the same bytes.
 */
final class Fuzzer implements AutoCloseable {
  private static final Set<Integer> STATUSES = Set.of(0, 2, 65, 69, 74);
  private static final long MOST_SECONDS = 20;

  /** As long again is waited if the process could work less than this meanwhile. */
  private static final long LEAST_WORK = TimeUnit.SECONDS.toNanos(5);

  private static final int MOST_WAITS = 10;

  /** Of garbage in one command; each reads some hundred kilobytes. */
  private static final long MOST_HEAP = 256L << 20;

  private static final long MOST_RESIDENT = 2L << 30;

  /** How bytes of a kind of file are changed. */
  @FunctionalInterface
  interface Change {
    byte[] of(Mutator mutator, byte[] content);
  }

  /**
   * A file and what reads it.
   *
   * @param commands of which one is given, the first most often and so the cheapest; {@code M} is
   *     the model's folder, {@code F} the file, {@code O} an output that does not exist
   */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  record Case(String name, Path file, byte[] content, Change change, List<String> commands) {}

  /** Runs commands, until one hangs. */
  private static final class Runner {
    private final Cli.Session session = new Cli.Session();
    private final AtomicReference<Thread> thread = new AtomicReference<>();
    private final ExecutorService commands =
        Executors.newSingleThreadExecutor(work -> {
          thread.set(Thread.ofPlatform().daemon().name("fuzzed").unstarted(work));
          return thread.get();
        });

    Cli.Outcome run(Object... words)
        throws ExecutionException, TimeoutException, InterruptedException {
      Future<Cli.Outcome> outcome = commands.submit(() -> session.run(words));
      for (int wait = 1; ; wait++) {
        long before = Guards.processorNanos();
        try {
          return outcome.get(MOST_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
          // Who gets no processor does not hang.
          if (wait == MOST_WAITS || Guards.processorNanos() - before > LEAST_WORK) {
            throw e;
          }
        }
      }
    }
  }

  /** What went wrong with an input. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  record Finding(long number, String name, String command, String what, byte[] input) {}

  private final Path root;
  private final List<Case> cases = new ArrayList<>();
  private final Guards guards;
  private Runner runner = new Runner();

  /** With all cases, in a folder that is empty. */
  Fuzzer(Path root) throws Exception {
    this.root = root;
    Path outside = root.resolve("outside");
    Seeds.model(outside, Long.MAX_VALUE);
    List<String> dense =
        List.of(
            "inspect M",
            "logits --model M --tokens 1,2,3 --backend reference --output O",
            "quantize --model M --method rtn --group-size 32 --backend reference --output O");
    List<String> packed =
        List.of(
            "inspect M",
            "logits --model M --tokens 1,2,3 --backend reference --output O",
            "convert --model M --format gptq_v2 --output O");
    List<String> spoken =
        List.of("generate --model M --prompt the --max-tokens 2 --backend reference", "inspect M");
    add("config", "config.json", Long.MAX_VALUE, Mutator::change, dense);
    add("header", "model.safetensors", Long.MAX_VALUE, Mutator::changeShard, dense);
    add("body", "model.safetensors", Long.MAX_VALUE, Mutator::bytes, dense);
    add("index", "model.safetensors.index.json", 30_000, Mutator::change, dense);
    add("tokenizer", "tokenizer.json", Long.MAX_VALUE, Mutator::change, spoken);
    add("tokenizer-config", "tokenizer_config.json", Long.MAX_VALUE, Mutator::change, spoken);
    add("generation", "generation_config.json", Long.MAX_VALUE, Mutator::change, spoken);
    for (String name : List.of("packed-config", "packed-header")) {
      quantized(name, "gptq", packed);
    }
    List<String> compressed =
        List.of(packed.get(0), packed.get(1), "convert --model M --format gptq --output O");
    for (String name : List.of("compressed-config", "compressed-header")) {
      quantized(name, "compressed-tensors", compressed);
    }
    for (String part : List.of("-config", "-header")) {
      quantized("awq" + part, "awq", compressed, "--asym");
      quantized("mlx" + part, "mlx", compressed);
    }
    gguf();
    importance();
    log();
    text("text.txt", Seeds.text(Seeds.TEXT.repeat(4)), Mutator::bytes);
    text("text.jsonl", Seeds.rows(), Mutator::bytes);
    text("row.jsonl", Seeds.text("{\"text\":\"" + Seeds.TEXT.repeat(4) + "\"}"), Mutator::change);
    text("text.json.gz", Seeds.compressedRows(), Mutator::bytes);
    guards = new Guards(outside);
  }

  private void add(String name, String file, long shardLimit, Change change, List<String> commands)
      throws Exception {
    Path model = root.resolve(name).resolve("model");
    Seeds.model(model, shardLimit);
    add(name, model.resolve(file), change, commands);
  }

  /** A checkpoint of which the configuration or the weights are changed, as the name says. */
  private Path quantized(String name, String format, String... more) throws Exception {
    Path model = root.resolve(name).resolve("model");
    Seeds.model(model, Long.MAX_VALUE);
    Path quantized = root.resolve(name).resolve("quantized");
    List<Object> words =
        new ArrayList<>(
            List.of(
                "quantize",
                "--model",
                model,
                "--method",
                "rtn",
                "--group-size",
                "32",
                "--format",
                format,
                "--backend",
                "reference",
                "--output",
                quantized));
    words.addAll(List.of(more));
    require(runner.run(words.toArray()));
    return quantized;
  }

  private void quantized(String name, String format, List<String> commands, String... more)
      throws Exception {
    Path quantized = quantized(name, format, more);
    boolean settings = name.endsWith("config");
    add(
        name,
        quantized.resolve(settings ? "config.json" : "model.safetensors"),
        settings ? Mutator::change : Mutator::changeShard,
        commands);
  }

  private void gguf() throws Exception {
    Path file = root.resolve("gguf").resolve("model.gguf");
    require(
        runner.run(
            "convert", "--model", quantized("gguf", "gptq"), "--format", "gguf", "--output", file));
    add("gguf", file, Mutator::bytes, List.of("inspect F"));
  }

  /** An importance matrix, which costs no text. */
  private void importance() throws Exception {
    Path model = root.resolve("imatrix").resolve("model");
    Seeds.model(model, Long.MAX_VALUE);
    Path text = model.resolve("text.txt");
    Files.write(text, Seeds.text(Seeds.TEXT.repeat(4)));
    Path made = model.resolveSibling("imatrix.gguf");
    require(
        runner.run(
            "quantize",
            "--model",
            model,
            "--calibration",
            text,
            "--samples",
            "2",
            "--seq-len",
            "8",
            "--group-size",
            "32",
            "--quality",
            "fast",
            "--backend",
            "reference",
            "--output",
            model.resolveSibling("quantized"),
            "--write-imatrix",
            made));
    add(
        "imatrix",
        Files.move(made, model.resolve("imatrix.gguf")),
        Mutator::bytes,
        List.of(
            "quantize --model M --imatrix F --quality fast --group-size 32 --backend reference"
                + " --output O"));
  }

  private void log() throws Exception {
    Path log = quantized("log", "gptq").resolve("quantization-log.jsonl");
    // Without calibration no error is known.
    Files.writeString(log, Files.readString(log).replace("error\":null", "error\":0.5"));
    add("log", log, Mutator::change, List.of("plot F --output O.svg", "plot M --output O.svg"));
  }

  private void text(String file, byte[] content, Change change) throws Exception {
    Path model = root.resolve(file).resolve("model");
    Seeds.model(model, Long.MAX_VALUE);
    Path text = model.resolve(file);
    Files.write(text, content);
    add(
        file,
        text,
        change,
        List.of(
            "quantize --model M --calibration F --samples 2 --seq-len 8 --group-size 32 --dry-run"
                + " --output O",
            "eval --model M --text F --seq-len 8 --windows 2 --backend reference"));
  }

  private void add(String name, Path file, Change change, List<String> commands) throws Exception {
    Case added = new Case(name, file, Files.readAllBytes(file), change, commands);
    cases.add(added);
    for (String command : commands) {
      require(runner.run(words(added, command)));
    }
    clear();
  }

  private static void require(Cli.Outcome outcome) {
    if (outcome.status() != 0) {
      throw new IllegalStateException("a file that was not changed: " + outcome.err());
    }
  }

  private Object[] words(Case of, String command) throws IOException {
    clear();
    return Stream.of(command.split(" "))
        .<Object>map(word ->
            switch (word) {
              case "M" -> of.file().getParent();
              case "F" -> of.file();
              case "O" -> root.resolve("output");
              case "O.svg" -> root.resolve("output.svg");
              default -> word;
            })
        .toArray();
  }

  private void clear() throws IOException {
    Path output = root.resolve("output");
    if (Files.exists(output)) {
      MoreFiles.deleteRecursively(output, RecursiveDeleteOption.ALLOW_INSECURE);
    }
    Files.deleteIfExists(root.resolve("output.svg"));
    try (DirectoryStream<Path> kept = Files.newDirectoryStream(root, ".output.work-*")) {
      for (Path folder : kept) {
        MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    }
  }

  /** Tries an input, and says what was wrong. */
  Optional<Finding> attempt(long number) throws Exception {
    SplittableRandom random = new SplittableRandom(number);
    Case chosen = cases.get(random.nextInt(cases.size()));
    byte[] input = chosen.change().of(new Mutator(random), chosen.content());
    int commands = chosen.commands().size();
    String command =
        chosen.commands().get(Math.min(random.nextInt(commands), random.nextInt(commands)));
    return attempt(chosen, command, input)
        .map(what -> new Finding(number, chosen.name(), command, what, input));
  }

  /** Tries an input that was found earlier with every command of its case. */
  List<String> attempt(String name, byte[] input) throws Exception {
    Case chosen = cases.stream().filter(one -> one.name().equals(name)).findFirst().orElseThrow();
    List<String> wrong = new ArrayList<>();
    for (String command : chosen.commands()) {
      attempt(chosen, command, input).ifPresent(what -> wrong.add(command + ": " + what));
    }
    return wrong;
  }

  private Optional<String> attempt(Case chosen, String command, byte[] input) throws Exception {
    Files.write(chosen.file(), input);
    try {
      Object[] words = words(chosen, command);
      guards.begin();
      return wrong(runner.run(words));
    } catch (ExecutionException e) {
      Throwable failure = e.getCause();
      return Optional.of(failure + stack(failure.getStackTrace()));
    } catch (TimeoutException e) {
      String where = stack(runner.thread.get().getStackTrace());
      runner.commands.shutdownNow();
      runner = new Runner();
      return Optional.of("it takes more than " + MOST_SECONDS + " seconds" + where);
    } finally {
      Files.write(chosen.file(), chosen.content());
    }
  }

  private Optional<String> wrong(Cli.Outcome outcome) {
    if (!STATUSES.contains(outcome.status())) {
      return Optional.of("status " + outcome.status() + ": " + outcome.err());
    }
    if (outcome.status() != 0 && !outcome.err().contains("gptq: ")) {
      return Optional.of("no sentence: " + outcome.err());
    }
    if (outcome.err().contains("\tat ") || outcome.err().contains("Java heap")) {
      return Optional.of(outcome.err());
    }
    if (guards.wasOutside()) {
      return Optional.of("it opened a file outside: " + outcome.err());
    }
    if (guards.heapBytes() > MOST_HEAP) {
      return Optional.of(
          "it took " + (guards.heapBytes() >> 20) + " MiB of heap: " + outcome.err());
    }
    if (Guards.mostResidentBytes() > MOST_RESIDENT) {
      return Optional.of("the process has taken " + (Guards.mostResidentBytes() >> 20) + " MiB");
    }
    return Optional.empty();
  }

  private static String stack(StackTraceElement[] elements) {
    StringBuilder text = new StringBuilder();
    for (StackTraceElement element : elements) {
      text.append("\n  ").append(element);
    }
    return text.toString();
  }

  @Override
  public void close() {
    runner.commands.shutdownNow();
    guards.close();
  }
}
