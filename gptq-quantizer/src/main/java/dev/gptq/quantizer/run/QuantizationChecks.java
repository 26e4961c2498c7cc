package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlace;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.gguf.GgufExport;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.gguf.ImportanceMatrix;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import dev.gptq.quantizer.store.OutputLock;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What can be known to be wrong with a quantization before the work begins, but for what only
 * {@link FiniteTensors} sees.
 */
final class QuantizationChecks {
  private final Model model;
  private final RunRequest request;

  QuantizationChecks(Model model, RunRequest request) {
    this.model = model;
    this.request = request;
  }

  /** Throws the first of them. */
  void check() throws IOException {
    model.requireFullPrecision();
    for (Path folder : request.places()) {
      OutputLock.requireFree(folder);
    }
    for (Path folder : request.folders()) {
      // A run that was killed after its output was complete only clears away what it left.
      boolean mayStand = request.overwrite() || WorkFolder.isAnnounced(request.output(), folder);
      if (!mayStand) {
        requireFree(folder);
      }
      CheckpointExporter.check(model, folder, mayStand);
    }
    if (request.checkpoints().stream().anyMatch(c -> c.format() instanceof GgufFormat)) {
      if (request.observing().isPresent()) {
        throw new RequestException(
            "--format gguf holds groups of 32 and more, and --observe and --target-bpw may make them"
                + " smaller; leave one of the two out");
      }
      GgufExport.check(model);
    }
    checkImportance();
    request.observing().ifPresent(observing -> requireMixedSettings());
    ImmutableMap.Builder<String, ModuleSettings> selected = ImmutableMap.builder();
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String name = block.nameOf(linear);
        if (request.settings().selection().test(name)) {
          selected.put(name, request.base());
          check(name, linear);
        }
      }
    }
    ImmutableMap<String, ModuleSettings> modules = selected.buildOrThrow();
    if (modules.isEmpty()) {
      throw new BadInputException(
          "--include and --exclude leave no module to quantize; modules are named like "
              + model.spec().blocks().getFirst().prefix()
              + model.spec().blocks().getFirst().linears().findFirst().orElseThrow().module());
    }
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      CheckpointExporter.checkSettings(model, checkpoint, modules);
    }
    if (request.expertTokens().isPresent()) {
      checkExperts(request.expertTokens().getAsInt());
    }
    if (request.observing().isPresent()) {
      request.observing().get().bitsPerWeight().ifPresent(this::checkBudget);
    }
  }

  private void requireMixedSettings() {
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      if (!checkpoint.format().holdsMixedSettings()) {
        throw new RequestException(
            "--format %s has one setting for all modules, and --observe and --target-bpw give some of"
                    .formatted(checkpoint.format().id())
                + " them others; leave one of the two out, or write compressed-tensors or mlx");
      }
    }
  }

  private void checkImportance() throws IOException {
    if (request.settings().importance().isPresent() && request.observing().isPresent()) {
      throw new RequestException(
          "--observe and --target-bpw need a calibration text, and an importance matrix is no more than"
              + " a part of what it says; leave one of the two out");
    }
    if (request.importance().isPresent()) {
      if (!request.settings().needsText()) {
        throw new RequestException(
            "an importance matrix is made of a calibration text; give one to write the other");
      }
      OutputPlace.requireApart(
          request.importance().get(), ImmutableList.of(model.path(), model.folder()));
      ImportanceMatrix.check(model, request.importance().get(), request.overwrite());
    }
  }

  /** Throws if there is anything at the output. */
  static void requireFree(Path output) throws IOException {
    if (!Files.exists(output)) {
      return;
    }
    boolean empty = false;
    if (Files.isDirectory(output)) {
      try (Stream<Path> entries = Files.list(output)) {
        empty = entries.findAny().isEmpty();
      }
    }
    if (!empty) {
      throw new BadInputException(
          output + " exists and is not empty; choose another folder or add --overwrite");
    }
  }

  private void checkExperts(int tokens) {
    if (tokens < 1) {
      throw new RequestException("--expert-tokens must be at least 1 but is " + tokens);
    }
    if (!request.settings().needsText()) {
      throw new RequestException(
          "--expert-tokens asks for calibration text, which --method rtn and --imatrix do not take");
    }
    if (ExpertCounts.experts(model.spec(), request.settings().selection()).isEmpty()) {
      throw new BadInputException(
          model.path()
              + " has no experts among the modules that are quantized; leave --expert-tokens out");
    }
  }

  /** Formats must hold the widths that were asked for. */
  private void checkWidths(String name, LinearSpec linear, ImmutableList<Integer> widths) {
    ModuleSettings base = request.base();
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      for (int bits : widths) {
        ModuleSettings wider =
            new ModuleSettings(bits, base.groupSize(), base.sym(), base.descAct());
        checkpoint
            .format()
            .refusal(wider, linear.outputs(), linear.inputs())
            .ifPresent(refusal -> {
              throw new RequestException(
                  "%s: --format %s %s; leave %d out of --bits-choices"
                      .formatted(name, checkpoint.format().id(), refusal, bits));
            });
      }
    }
  }

  /** A budget must allow what every module gets at least. */
  private void checkBudget(double bitsPerWeight) {
    GptqOptions options = request.settings().options();
    Precision least = new Precision(options.grid().bits(), options.groupSize());
    long weights = 0;
    long bytes = 0;
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        if (request.settings().selection().test(block.nameOf(linear))) {
          weights += (long) linear.outputs() * linear.inputs();
          bytes += least.bytes(linear.outputs(), linear.inputs());
        }
      }
    }
    if (bitsPerWeight < 8.0 * bytes / weights) {
      throw new BadInputException(
          String.format(
              Locale.ROOT,
              "--target-bpw %s is less than the %.3f bits a weight that --bits %d and --group-size"
                  + " %d take; give fewer bits, larger groups, or a higher target",
              bitsPerWeight,
              8.0 * bytes / weights,
              least.bits(),
              least.groupSize()));
    }
  }

  private void check(String name, LinearSpec linear) {
    model.checkpoint().require(name + ".weight");
    if (request.settings().types().containsKey(name)) {
      return;
    }
    int bits = request.settings().options().grid().bits();
    int group = request.settings().options().groupSize();
    if (group != GptqOptions.PER_ROW && linear.inputs() % group != 0) {
      throw new BadInputException(
          "group size "
              + group
              + " does not divide the "
              + linear.inputs()
              + " inputs of "
              + name
              + "; "
              + GroupSizes.suggestion(model.spec(), request.settings().selection())
              + " (auto chooses), or leave the module out with --exclude");
    }
    ModuleSettings base = request.base();
    request.observing().ifPresent(observing -> checkWidths(name, linear, observing.widths()));
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      Format format = checkpoint.format();
      Optional<String> refusal = format.refusal(base, linear.outputs(), linear.inputs());
      if (refusal.isPresent()) {
        throw new BadInputException(
            "%s: --format %s %s; %s"
                .formatted(
                    name,
                    format.id(),
                    refusal.get(),
                    Formats.holding(base, linear.outputs(), linear.inputs())));
      }
    }
    if ((long) linear.inputs() * bits % 32 != 0 || (long) linear.outputs() * bits % 32 != 0) {
      throw new BadInputException(
          name
              + " is "
              + linear.outputs()
              + " x "
              + linear.inputs()
              + ", which does not fill whole 32-bit words at "
              + bits
              + " bits as the GPTQ format needs; leave the module out with --exclude");
    }
  }
}
