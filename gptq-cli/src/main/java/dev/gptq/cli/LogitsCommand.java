package dev.gptq.cli;

import com.google.common.base.Splitter;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlace;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.SingleTensor;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.forward.Decoder;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes logits for comparison with other tools. */
@Command(
    name = "logits",
    description =
        "Writes the logits of given token ids (tensor 'logits', float32, batch x length x"
            + " vocabulary), for comparison with other tools.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class LogitsCommand implements Callable<Integer> {
  private static final String LOGITS = "logits";

  @Mixin private ModelOption model;

  @Option(
      names = "--tokens",
      required = true,
      paramLabel = "IDS|FILE",
      description =
          "token ids separated by commas, or a .safetensors file with the integer tensor 'input_ids'")
  private String tokens;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "FILE",
      description = "the .safetensors file to write")
  private Path file;

  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    List<int[]> windows =
        tokens.endsWith(".safetensors") ? read(Path.of(tokens)) : List.of(parse(tokens));
    int length = windows.getFirst().length;
    Path folder = model.folder(console);
    OutputPlace.requireApart(file, List.of(folder));
    SingleTensor.requireReplaceable(file, LOGITS);
    try (Model opened = Model.open(folder)) {
      check(windows, opened);
      try (Backend backend = backendOption.open(console);
          Decoder decoder = opened.load(backend);
          TensorScope scope = backend.newScope();
          Arena arena = Arena.ofConfined()) {
        Tensor logits = decoder.logits(windows, scope);
        MemorySegment values = arena.allocate(logits.byteSize(), Float.BYTES);
        logits.copyTo(values);
        SingleTensor.write(
            file,
            LOGITS,
            StoredType.F32,
            new long[] {windows.size(), length, logits.columns()},
            values);
        if (output.json()) {
          console.result(
              JsonOutput.line(
                  JsonOutput.command("logits", backend)
                      .put("output", file.toString())
                      .put("batch", windows.size())
                      .put("length", length)
                      .put("vocabulary", logits.columns())));
        } else {
          console.result(
              "wrote "
                  + file
                  + ": logits "
                  + windows.size()
                  + " x "
                  + length
                  + " x "
                  + logits.columns());
        }
      }
    }
    return ExitStatus.DONE;
  }

  private static int[] parse(String list) {
    try {
      return Splitter.on(',')
          .trimResults()
          .splitToStream(list)
          .mapToInt(Integer::parseInt)
          .toArray();
    } catch (NumberFormatException e) {
      throw new UsageException(
          "--tokens must be integers separated by commas or a .safetensors file but is " + list);
    }
  }

  private static List<int[]> read(Path path) throws IOException {
    try (Checkpoint opened = Checkpoint.open(path)) {
      StoredTensor ids = opened.require("input_ids");
      int dimensions = ids.shape().size();
      boolean wide = ids.type() == StoredType.I64;
      if (dimensions < 1 || dimensions > 2 || !(wide || ids.type() == StoredType.I32)) {
        throw new BadInputException(
            path
                + ": tensor input_ids must be I32 or I64 with one or two dimensions but is "
                + ids.type()
                + " "
                + ids.shape());
      }
      long most = ids.shape().stream().mapToLong(Long::longValue).max().orElse(0);
      if (ids.elements() == 0 || most > Integer.MAX_VALUE) {
        throw new BadInputException(
            path + ": tensor input_ids has shape " + ids.shape() + "; give one token at least");
      }
      int length = Math.toIntExact(ids.shape().get(dimensions - 1));
      int batch = dimensions == 2 ? Math.toIntExact(ids.shape().get(0)) : 1;
      List<int[]> windows = new ArrayList<>();
      for (int b = 0; b < batch; b++) {
        int[] window = new int[length];
        for (int t = 0; t < length; t++) {
          long at = (long) b * length + t;
          window[t] =
              wide
                  ? checked(path, ids.data().getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at))
                  : ids.data().getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at);
        }
        windows.add(window);
      }
      return windows;
    }
  }

  private static int checked(Path path, long id) {
    if (id < 0 || id > Integer.MAX_VALUE) {
      throw new BadInputException(path + ": " + id + " is no token id");
    }
    return (int) id;
  }

  private static void check(List<int[]> windows, Model model) {
    int length = windows.getFirst().length;
    if (length > model.spec().context()) {
      throw new BadInputException(length + " tokens exceed " + model.contextInWords());
    }
    for (int[] window : windows) {
      for (int id : window) {
        if (id < 0 || id >= model.spec().vocabulary()) {
          throw new BadInputException(
              "token id "
                  + id
                  + " is outside the model's vocabulary of "
                  + model.spec().vocabulary());
        }
      }
    }
  }
}
