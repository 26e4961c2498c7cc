package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.ClassicLog;
import dev.gptq.quantizer.observe.DynamicRules;
import dev.gptq.quantizer.observe.HessianFolder;
import dev.gptq.quantizer.observe.HessianKeeper;
import dev.gptq.quantizer.observe.ObservationLog;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Requantizer;
import dev.gptq.quantizer.observe.Sensitivity;
import dev.gptq.quantizer.pipeline.Fingerprint;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryEstimate;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** One quantization from checkpoint to checkpoint. */
final class QuantizationRun {
  private final Model model;
  private final RunRequest request;
  private final Console console;

  QuantizationRun(Model model, RunRequest request, Console console) {
    this.model = model;
    this.request = request;
    this.console = console;
  }

  /** Throws what can be known to be wrong before the work begins. */
  void check() throws IOException {
    new QuantizationChecks(model, request).check();
  }

  /** Says what would be done. */
  void plan(ImmutableList<int[]> windows, Console to) {
    MemoryEstimate estimate = MemoryEstimate.of(model.spec(), request.settings(), windows);
    to.result(
        String.format(
            Locale.ROOT,
            "would quantize %d blocks of %s to %d bits, group size %d, with %d windows of %d"
                + " tokens",
            model.spec().blocks().size(),
            model.spec().family(),
            request.settings().options().grid().bits(),
            request.settings().options().groupSize(),
            windows.size(),
            windows.isEmpty() ? 0 : windows.getFirst().length));
    estimate.lines().forEach(to::result);
    request
        .observing()
        .ifPresent(observing ->
            to.result(
                "disk for Hessians: at most "
                    + (HessianKeeper.mostBytes(model.spec(), observing.worst()) >> 20)
                    + " MiB beside the output folder"));
  }

  QuantizationSummary execute(Backend backend, ImmutableList<int[]> windows) throws IOException {
    long start = System.nanoTime();
    Checkpoint source = model.checkpoint();
    try (WorkFolder work =
        WorkFolder.open(
            request.output(),
            fingerprint(backend, windows),
            module -> source.find(module + ".bias"),
            console::note)) {
      if (!request.resume()) {
        work.delete();
      }
      int finished = work.finished();
      for (Path other : work.others()) {
        console.note(other + " holds blocks of a run with other settings; delete it if unwanted");
      }
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
      HessianFolder hessians = new HessianFolder(work.folder().resolve("hessians"));
      JobListener progress = Progress.blocks(console, "quantizing", finished);
      JobListener listener =
          request
              .observing()
              .<JobListener>map(observing ->
                  new HessianKeeper(model.spec(), hessians, observing.worst(), work, progress))
              .orElse(progress);
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              request.settings(),
              windows,
              work,
              listener)
          .run();
      ImmutableList<Attempt> attempts =
          request.observing().isPresent()
              ? observe(request.observing().get(), backend, work, hessians, windows)
              : ImmutableList.of();
      ImmutableList.Builder<ModuleReport> all = ImmutableList.builder();
      for (int block = 0; block < model.spec().blocks().size(); block++) {
        all.addAll(work.reports(block));
      }
      ImmutableList<ModuleReport> reports = all.build();
      long blocksDone = System.nanoTime();
      write(work, reports, attempts, windows);
      Runtime.getRuntime().removeShutdownHook(hint);
      work.delete();
      long end = System.nanoTime();
      return summary(backend, reports, attempts, (end - start) / 1e9, (end - blocksDone) / 1e9);
    }
  }

  private String fingerprint(Backend backend, ImmutableList<int[]> windows) throws IOException {
    return new Fingerprint()
        .add(model.config().json())
        .add(model.checkpoint().totalBytes())
        .add(model.checkpoint().folder().toRealPath())
        .add(request.settings())
        .add(request.config())
        .add(request.observing())
        .add(backend.info().name())
        .add(windows)
        .text();
  }

  private ImmutableList<Attempt> observe(
      Observing observing,
      Backend backend,
      WorkFolder work,
      HessianFolder hessians,
      ImmutableList<int[]> windows) {
    return observing.run(
        new Observer(
            model.spec(),
            request.settings().selection(),
            new Requantizer(
                backend, model.weights(backend), request.settings().options(), hessians),
            work,
            (index, count, module) ->
                console.progress("observing: " + (index + 1) + "/" + count + " " + module)),
        () -> new Sensitivity(backend, model.spec(), model.weights(backend), windows));
  }

  private void write(
      WorkFolder work,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      ImmutableList<int[]> windows)
      throws IOException {
    console.milestone("writing and verifying " + request.output());
    ImmutableMap.Builder<String, String> logs = ImmutableMap.builder();
    if (!attempts.isEmpty()) {
      logs.put(ObservationLog.FILE, lines(attempts.stream().map(ObservationLog::line).toList()));
    }
    if (request.classicLog()) {
      int window = windows.isEmpty() ? 0 : windows.getFirst().length;
      logs.put(
          ClassicLog.FILE,
          lines(ClassicLog.lines(reports, attempts, model.spec().blocks().size(), window)));
    }
    GptqConfig config =
        request
            .config()
            .withDynamic(DynamicRules.of(model.spec(), reports, request.config().settings()));
    CheckpointExporter.export(
        model, work, config, logs.buildOrThrow(), request.output(), request.overwrite());
  }

  private static String lines(List<String> lines) {
    return String.join("\n", lines) + "\n";
  }

  private QuantizationSummary summary(
      Backend backend,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      double seconds,
      double writing)
      throws IOException {
    try (Checkpoint written = Checkpoint.open(request.output())) {
      long packedBytes = 0;
      long weights = 0;
      for (ModuleReport report : reports) {
        for (String part : List.of("qweight", "qzeros", "scales", "g_idx")) {
          packedBytes += written.require(report.name() + "." + part).data().byteSize();
        }
        weights += (long) report.rows() * report.columns();
      }
      return new QuantizationSummary(
          reports,
          attempts,
          seconds,
          writing,
          written.totalBytes(),
          8.0 * packedBytes / weights,
          backend.memory().reserved(),
          HeapPeak.bytes(),
          ProcessPeak.bytes());
    }
  }
}
