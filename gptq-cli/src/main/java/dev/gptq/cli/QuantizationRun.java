package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.models.export.CheckpointExporter;
import dev.gptq.models.export.WorkFolder;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.gptqformat.GptqConfig;
import dev.gptq.models.pipeline.Fingerprint;
import dev.gptq.models.pipeline.MemoryEstimate;
import dev.gptq.models.pipeline.ModuleReport;
import dev.gptq.models.pipeline.QuantizationJob;
import dev.gptq.models.pipeline.QuantizationSettings;
import dev.gptq.models.safetensors.Checkpoint;
import dev.gptq.quantize.GptqOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import tools.jackson.databind.node.ObjectNode;

/** One quantization from checkpoint to checkpoint. */
final class QuantizationRun {
  private final Model model;
  private final QuantizationSettings settings;
  private final GptqConfig config;
  private final Path output;
  private final boolean overwrite;
  private final boolean resume;
  private final Console console;

  QuantizationRun(
      Model model,
      QuantizationSettings settings,
      GptqConfig config,
      Path output,
      boolean overwrite,
      boolean resume,
      Console console) {
    this.model = model;
    this.settings = settings;
    this.config = config;
    this.output = output;
    this.overwrite = overwrite;
    this.resume = resume;
    this.console = console;
  }

  /**
   * What came of it.
   *
   * @param reports one for each module
   * @param seconds wall-clock time from the first block on
   * @param bytes size of the written tensors
   * @param bitsPerWeight bits of the quantized modules' tensors a weight
   * @param writing the part of it in which the checkpoint was written and verified
   * @param peakTensors bytes that the backend held at most
   * @param peakHeap bytes of Java's heap at most in use
   */
  record Summary(
      ImmutableList<ModuleReport> reports,
      double seconds,
      double writing,
      long bytes,
      double bitsPerWeight,
      long peakTensors,
      long peakHeap) {

    double totalError() {
      return reports.stream().mapToDouble(ModuleReport::error).sum();
    }

    ObjectNode json(Backend backend, Path output, GptqOptions options) {
      ObjectNode json =
          Json.command("quantize", backend)
              .put("output", output.toString())
              .put("modules", reports.size())
              .put("bits", options.grid().bits())
              .put("group_size", options.groupSize())
              .put("bits_per_weight", bitsPerWeight);
      if (Double.isFinite(totalError())) {
        json.put("total_error", totalError());
      } else {
        json.putNull("total_error");
      }
      return json.put("seconds", seconds)
          .put("writing_seconds", writing)
          .put("peak_memory_bytes", peakTensors + peakHeap)
          .put("peak_tensor_bytes", peakTensors)
          .put("peak_heap_bytes", peakHeap);
    }

    List<String> lines(Path output) {
      List<String> lines = new ArrayList<>();
      lines.add(
          String.format(
              Locale.ROOT,
              "quantized %d modules to %.3f bits a weight in %s, using at most %d MiB for tensors"
                  + " and %d MiB of heap",
              reports.size(),
              bitsPerWeight,
              Console.time(seconds),
              peakTensors >> 20,
              peakHeap >> 20));
      reports.stream()
          .max(java.util.Comparator.comparingDouble(ModuleReport::relativeError))
          .filter(worst -> Double.isFinite(worst.relativeError()))
          .ifPresent(worst ->
              lines.add(
                  String.format(
                      Locale.ROOT,
                      "largest relative output error: %.3e at %s (RTN %.3e)",
                      worst.relativeError(),
                      worst.name(),
                      worst.rtnRelativeError())));
      lines.add(
          String.format(
              Locale.ROOT,
              "wrote %s (%.1f MB) in the last %s of these",
              output,
              bytes / 1e6,
              Console.time(writing)));
      return lines;
    }
  }

  /** Everything that can be known to be wrong before the work begins. */
  void check() throws IOException {
    if (model.quantization().isPresent()) {
      throw new BadInputException(
          model.folder()
              + " is quantized already (to "
              + model.quantization().get().bits()
              + " bits); start from the full-precision checkpoint");
    }
    if (Files.exists(output) && !overwrite) {
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
    int selected = 0;
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String name = block.nameOf(linear);
        if (settings.selection().test(name)) {
          selected++;
          check(name, linear);
        }
      }
    }
    if (selected == 0) {
      throw new BadInputException(
          "--include and --exclude leave no module to quantize; modules are named like "
              + model.spec().blocks().getFirst().prefix()
              + model.spec().blocks().getFirst().linears().findFirst().orElseThrow().module());
    }
  }

  private void check(String name, LinearSpec linear) {
    model.checkpoint().require(name + ".weight");
    int bits = settings.options().grid().bits();
    int group = settings.options().groupSize();
    if (group != GptqOptions.PER_ROW && linear.inputs() % group != 0) {
      throw new BadInputException(
          "group size "
              + group
              + " does not divide the "
              + linear.inputs()
              + " inputs of "
              + name
              + "; use one that does, -1 for whole rows, or leave the module out with --exclude");
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

  /** Says what would be done. */
  void plan(ImmutableList<int[]> windows, Console to) {
    MemoryEstimate estimate = MemoryEstimate.of(model.spec(), settings, windows);
    to.result(
        String.format(
            Locale.ROOT,
            "would quantize %d blocks of %s to %d bits, group size %d, with %d windows of %d"
                + " tokens",
            model.spec().blocks().size(),
            model.spec().family(),
            settings.options().grid().bits(),
            settings.options().groupSize(),
            windows.size(),
            windows.isEmpty() ? 0 : windows.getFirst().length));
    estimate.lines().forEach(to::result);
  }

  Summary execute(Backend backend, ImmutableList<int[]> windows) throws IOException {
    long start = System.nanoTime();
    Checkpoint source = model.checkpoint();
    String fingerprint =
        new Fingerprint()
            .add(model.config().json())
            .add(source.totalBytes())
            .add(source.folder().toRealPath())
            .add(settings)
            .add(config)
            .add(backend.info().name())
            .add(windows)
            .text();
    try (WorkFolder work =
        new WorkFolder(output, fingerprint, config, module -> source.find(module + ".bias"))) {
      if (!resume) {
        work.delete();
      }
      int finished = work.finished();
      if (finished > 0) {
        console.note("going on after " + finished + " finished blocks in " + work.folder());
      }
      Thread hint =
          new Thread(() ->
              console.note(
                  "interrupted; finished blocks are kept in "
                      + work.folder()
                      + " and the same command goes on from there"));
      Runtime.getRuntime().addShutdownHook(hint);
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              settings,
              windows,
              work,
              Progress.blocks(console, "quantizing", finished))
          .run();
      console.milestone("writing and verifying " + output);
      long blocksDone = System.nanoTime();
      CheckpointExporter.export(model, work, config, output, overwrite);
      ImmutableList.Builder<ModuleReport> reports = ImmutableList.builder();
      for (int block = 0; block < model.spec().blocks().size(); block++) {
        reports.addAll(work.reports(block));
      }
      Runtime.getRuntime().removeShutdownHook(hint);
      work.delete();
      long end = System.nanoTime();
      return summary(backend, reports.build(), (end - start) / 1e9, (end - blocksDone) / 1e9);
    }
  }

  private Summary summary(
      Backend backend, ImmutableList<ModuleReport> reports, double seconds, double writing)
      throws IOException {
    try (Checkpoint written = Checkpoint.open(output)) {
      long packedBytes = 0;
      long weights = 0;
      for (ModuleReport report : reports) {
        for (String part : List.of("qweight", "qzeros", "scales", "g_idx")) {
          packedBytes += written.require(report.name() + "." + part).data().byteSize();
        }
        weights += (long) report.rows() * report.columns();
      }
      return new Summary(
          reports,
          seconds,
          writing,
          written.totalBytes(),
          8.0 * packedBytes / weights,
          backend.memory().reserved(),
          HeapPeak.bytes());
    }
  }
}
