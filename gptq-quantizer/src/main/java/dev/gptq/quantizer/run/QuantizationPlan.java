package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.formats.FileFailure;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufShards;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.GrowingCheckpoint;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.ClassicLog;
import dev.gptq.quantizer.observe.ExpectedDivergence;
import dev.gptq.quantizer.observe.ForeseenBudget;
import dev.gptq.quantizer.observe.HessianFolder;
import dev.gptq.quantizer.observe.HessianKeeper;
import dev.gptq.quantizer.observe.ObservationLog;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Requantizer;
import dev.gptq.quantizer.observe.Sensitivity;
import dev.gptq.quantizer.pipeline.BorderChoice;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryCounts;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.StateStore;
import dev.gptq.quantizer.store.OutputLocks;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.StateFolder;
import dev.gptq.quantizer.store.WeightFiles;
import dev.gptq.quantizer.store.WorkFolder;
import dev.gptq.quantizer.tune.TuningLog;
import dev.gptq.quantizer.tune.TuningOutcome;
import dev.gptq.quantizer.tune.TuningStates;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A quantization that has been checked: model, settings and windows are known. Closing it closes
 * the model and lets others write the output.
 */
public final class QuantizationPlan implements AutoCloseable {
  private final Model model;
  private RunRequest request;
  private final ImmutableList<int[]> windows;
  private final ImmutableList<int[]> further;
  private final Optional<PlannedTuning> tuning;
  private ImmutableList<String> notes;

  /** Whether the curvature is what a preset brings and not what was asked for. */
  private final boolean presetCurvature;

  private Optional<OutputLocks> locks;

  /**
   * A plan.
   *
   * @param presetCurvature whether the curvature may give way to that of the inputs
   * @param locks of the request's {@linkplain RunRequest#places places}, if they have been taken;
   *     given back when the plan is closed
   */
  QuantizationPlan(
      Model model,
      RunRequest request,
      ImmutableList<int[]> windows,
      ImmutableList<int[]> further,
      Optional<PlannedTuning> tuning,
      ImmutableList<String> notes,
      boolean presetCurvature,
      Optional<OutputLocks> locks) {
    this.model = model;
    this.request = request;
    this.windows = windows;
    this.further = further;
    this.tuning = tuning;
    this.notes = notes;
    this.presetCurvature = presetCurvature;
    this.locks = locks;
  }

  /** The model that is to be quantized. */
  public Model model() {
    return model;
  }

  /** What is to be done. */
  public RunRequest request() {
    return request;
  }

  /** The windows of the calibration text; none for rounding to nearest. */
  public ImmutableList<int[]> windows() {
    return windows;
  }

  /** Windows that are taken too where experts have not seen enough tokens in those. */
  public ImmutableList<int[]> furtherWindows() {
    return further;
  }

  /** What is done with the whole model once it is quantized, if that is asked for. */
  public Optional<PlannedTuning> tuning() {
    return tuning;
  }

  /** What was chosen, and warnings of what is allowed but seldom meant. */
  public ImmutableList<String> notes() {
    return notes;
  }

  /**
   * What it takes on a backend, by a rehearsal. Where a preset takes gradients of the whole model,
   * for which the backend has no room, the plan goes by the curvature of the inputs from here on,
   * and a note says so.
   */
  public Forecast forecast(Backend backend) {
    return forecast(backend, backend.memory().most());
  }

  /** The same with that much room for tensors. */
  Forecast forecast(Backend backend, long room) {
    Forecast forecast = forecast(backend, windows);
    if (!presetCurvature) {
      return forecast;
    }
    ImmutableList.Builder<String> known = ImmutableList.<String>builder().addAll(notes);
    Optional<QuantizationSettings> inputs =
        new MemoryFit(backend, model, request.settings(), windows, request.hiddenStates())
            .withoutGradients(forecast, room, known::add);
    if (inputs.isEmpty()) {
      return forecast;
    }
    request = request.with(inputs.get());
    notes = known.build();
    return forecast(backend, windows);
  }

  private Forecast forecast(Backend backend, ImmutableList<int[]> taken) {
    return Forecast.within(
        backend.memory().most(),
        backend,
        model.spec(),
        model::weights,
        request.settings(),
        taken,
        request.hiddenStates());
  }

  /** Bytes that must be in Java's heap at the same time; garbage comes on top. */
  public long heap() {
    return HeapEstimate.of(model.spec(), request.settings(), windows);
  }

  /**
   * Throws what a run would throw that does not fit into memory.
   *
   * @throws dev.gptq.tensor.OutOfMemoryException with the option that would make it fit
   */
  public void requireMemory(Backend backend, Forecast forecast) {
    requireMemory(backend, forecast, windows);
  }

  private void requireMemory(Backend backend, Forecast forecast, ImmutableList<int[]> taken) {
    MemoryFit fit =
        new MemoryFit(backend, model, request.settings(), taken, request.hiddenStates());
    fit.require(forecast);
    tuning.ifPresent(planned -> planned.requireRoom(backend));
    switch (request.observing().orElse(null)) {
      case null -> {}
      case Observing.Worst _ -> {}
      case Observing.Budget _ -> fit.requireGradients(budgetChoice(backend).tensors());
      case Observing.MeasuredBudget _ ->
          fit.requireWhole(
              Loading.AUTO.resolve(backend, ImmutableList.of(model), taken, message -> {}));
    }
  }

  /** Where the gradients of a budget of bits have hidden states, and what they take. */
  private BorderChoice budgetChoice(Backend backend) {
    ImmutableList<int[]> some = ExpectedDivergence.some(model.spec(), windows);
    return BorderChoice.of(
        backend,
        request.hiddenStates(),
        BorderRoom.bytes(model.spec(), some, backend.activationType()),
        where ->
            ExpectedDivergence.bytes(
                backend, model.spec(), model::weights, request.settings(), some, where));
  }

  /** What it needs of the disk of its output. */
  public DiskEstimate disk(Backend backend, Forecast forecast) throws IOException {
    return disk(backend, forecast, windows);
  }

  private DiskEstimate disk(Backend backend, Forecast forecast, ImmutableList<int[]> taken)
      throws IOException {
    long budget =
        request.observing().orElse(null) instanceof Observing.Budget
            ? budgetChoice(backend).files()
            : 0;
    long tuned = tuning.map(planned -> planned.choice(backend).files()).orElse(0L);
    long waiting = Math.max(forecast.files(), Math.max(budget, tuned));
    return DiskEstimate.of(model, request, taken, backend.activationType(), waiting);
  }

  /**
   * What of the run's state would be kept with what is free now.
   *
   * @throws IOException if the disk has no room for what would be written
   */
  public DiskEstimate.Kept wouldKeep(Backend backend, Forecast forecast) throws IOException {
    Path output = request.output();
    return disk(backend, forecast).keeps(request.keptStates(), free(output), output);
  }

  /**
   * Carries it out: block by block, then the checkpoint. The output is locked from here on, unless
   * it was before, until the plan is closed.
   *
   * @throws dev.gptq.formats.BadInputException if another process is writing it
   * @throws dev.gptq.tensor.OutOfMemoryException if it does not fit, before anything is computed
   */
  public QuantizationSummary run(Backend backend, QuantizationListener listener)
      throws IOException {
    long start = System.nanoTime();
    Checkpoint source = model.checkpoint();
    if (locks.isEmpty()) {
      locks = Optional.of(OutputLocks.acquire(request.places()));
    }
    Forecast forecast = forecast(backend);
    notes.forEach(listener::note);
    requireMemory(backend, forecast);
    try (WorkFolder work =
        WorkFolder.open(
            request.output(),
            key(backend),
            module -> source.find(module + ".bias"),
            listener::note)) {
      ImmutableList<CheckpointSettings> missing = missing(work);
      if (missing.isEmpty()) {
        listener.note(request.output() + " was complete already; cleared away what was left");
        work.delete();
        ImmutableList<ModuleReport> reports = QuantizationLog.read(request.folders().getFirst());
        return summary(
            backend,
            reports,
            ImmutableList.of(),
            Optional.empty(),
            (System.nanoTime() - start) / 1e9,
            0);
      }
      if (!request.resume()) {
        missing = request.checkpoints();
      }
      if (!request.overwrite()) {
        for (CheckpointSettings checkpoint : missing) {
          QuantizationChecks.requireFree(request.folder(checkpoint));
        }
      }
      if (!request.resume()) {
        work.delete();
      }
      ImmutableList<int[]> taken = windows(backend, listener);
      if (taken.size() > windows.size()) {
        forecast = forecast(backend, taken);
        requireMemory(backend, forecast, taken);
      }
      DiskEstimate.Kept kept = kept(backend, forecast, taken, work, listener);
      StateFolder states = work.states(kept.curvature(), listener::note);
      listener.working(work.folder(), work.finished());
      Optional<ImportanceKeeper> importance = importance(work);
      HessianFolder hessians = new HessianFolder(work.folder().resolve("hessians"));
      JobListener heard =
          request
              .observing()
              .filter(observing -> !observing.isForeseen())
              .<JobListener>map(observing ->
                  new HessianKeeper(model.spec(), hessians, observing.worst(), work, listener))
              .orElse(listener);
      forecast.note().ifPresent(listener::note);
      Optional<ForeseenBudget> budget = budget(backend, work, listener);
      if (budget.isPresent()) {
        request = request.with(request.settings().withPrecisions(budget.get().precisions()));
      }
      try (GrowingCheckpoints growing =
          new GrowingCheckpoints(
              model, request, kept.growing() ? missing : ImmutableList.of(), work)) {
        new QuantizationJob(
                backend,
                model.spec(),
                model.weights(backend),
                request.settings(),
                taken,
                growing,
                importance.<JobListener>map(keeper -> keeper.before(heard)).orElse(heard))
            .with(forecast.activations())
            .with(forecast.weights())
            .with(forecast.places(), work.hiddenStates())
            .run(kept.states() ? states : StateStore.NONE);
        states.delete();
        if (importance.isPresent()) {
          importance.get().write(taken.getFirst().length);
        }
        ImmutableList<Attempt> attempts =
            request.observing().isPresent()
                ? observe(request.observing().get(), backend, taken, work, hessians, listener)
                : ImmutableList.of();
        TuningStates tunings = kept.states() ? work.tuning(listener::note) : TuningStates.NONE;
        Optional<TuningOutcome> tuned =
            tuning.map(planned -> planned.run(backend, work, tunings, listener));
        ImmutableList<ModuleReport> reports = reports(work);
        long blocksDone = System.nanoTime();
        listener.writing(request.output());
        growing.await().forEach(listener::note);
        for (String reason : write(work, growing, missing, reports, attempts, budget, tuned)) {
          listener.note(
              "the checkpoint was compared through the system's cache and not with what the disk"
                  + " returns: "
                  + reason);
        }
        work.delete();
        request
            .expertTokens()
            .ifPresent(wanted ->
                ExpertWindows.tell(
                    wanted,
                    ImmutableSet.copyOf(
                        ExpertCounts.experts(model.spec(), request.settings().selection())),
                    reports,
                    listener::note));
        listener.done();
        long end = System.nanoTime();
        return summary(
            backend, reports, attempts, tuned, (end - start) / 1e9, (end - blocksDone) / 1e9);
      }
    }
  }

  /** The windows, and with {@code expertTokens} as many of the others as it takes. */
  private ImmutableList<int[]> windows(Backend backend, QuantizationListener listener) {
    if (request.expertTokens().isEmpty()) {
      return windows;
    }
    return new ExpertWindows(request.expertTokens().getAsInt(), further)
        .choose(
            windows,
            new ExpertCounts(
                backend, model.spec(), model.weights(backend), request.settings().selection()),
            listener::note);
  }

  private Optional<ImportanceKeeper> importance(WorkFolder work) {
    if (request.importance().isPresent() && work.finished() > 0) {
      throw new RequestException(
          "blocks that an earlier run finished are not calibrated again, so that an importance matrix"
              + " would lack them; add --no-resume, or leave the matrix out");
    }
    return request.importance().map(file -> new ImportanceKeeper(model, file, request.overwrite()));
  }

  /** What of the state is kept; throws if the disk has no room for what will be written. */
  private DiskEstimate.Kept kept(
      Backend backend,
      Forecast forecast,
      ImmutableList<int[]> taken,
      WorkFolder work,
      QuantizationListener listener)
      throws IOException {
    DiskEstimate disk = disk(backend, forecast, taken);
    long free = free(work.folder());
    DiskEstimate.Kept kept = disk.keeps(request.keptStates(), free, request.output());
    listener.disk(disk.sentence(kept, free));
    return kept;
  }

  /** What is free on the disk of the output, what is left of an earlier run counted in. */
  private long free(Path work) throws IOException {
    List<Path> left = new ArrayList<>(List.of(work));
    request.folders().forEach(folder -> left.add(CheckpointWriter.unfinished(folder)));
    return DiskEstimate.free(request.output(), left);
  }

  /** The checkpoints that an interrupted run has not written yet. */
  private ImmutableList<CheckpointSettings> missing(WorkFolder work) throws IOException {
    ImmutableList.Builder<CheckpointSettings> missing = ImmutableList.builder();
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      if (!work.isWritten(request.folder(checkpoint))) {
        missing.add(checkpoint);
      }
    }
    return missing.build();
  }

  private ImmutableList<ModuleReport> reports(WorkFolder work) {
    ImmutableList.Builder<ModuleReport> all = ImmutableList.builder();
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      all.addAll(work.reports(block));
    }
    return all.build();
  }

  /** Everything that decides the result. */
  private RunKey key(Backend backend) throws IOException {
    RunKey.Builder key = RunKey.builder();
    model
        .config()
        .json()
        .properties()
        .forEach(part -> key.add("config.json " + part.getKey(), part.getValue()));
    tuning.ifPresent(planned ->
        key.add("tuning text", planned.text().training())
            .add("tuning text held out", planned.text().heldOut()));
    return key.add(WeightFiles.of(model.checkpoint()))
        .add("settings", request.settings())
        .add("format", request.base())
        .add("observing", request.observing())
        .add("tuning", request.tuning())
        .add(backend)
        .add("expert tokens", request.expertTokens())
        .add("windows before experts are looked at", windows.size())
        .add(Stream.concat(windows.stream(), further.stream()).toList())
        .build();
  }

  /** Which bits and group sizes modules get, where that is decided beforehand. */
  private Optional<ForeseenBudget> budget(
      Backend backend, WorkFolder work, QuantizationListener listener) {
    if (!(request.observing().orElse(null) instanceof Observing.Budget wanted)) {
      return Optional.empty();
    }
    BorderChoice borders = budgetChoice(backend);
    borders.note().ifPresent(listener::note);
    ForeseenBudget budget =
        ForeseenBudget.of(
            model.spec(),
            request.settings(),
            new ExpectedDivergence(
                backend,
                model.spec(),
                model.weights(backend),
                request.settings(),
                wanted.widths(),
                new BorderPlace(borders.where(), work.hiddenStates())),
            ExpectedDivergence.some(model.spec(), windows),
            wanted.bits());
    listener.note(budget.sentence());
    return Optional.of(budget);
  }

  private ImmutableList<Attempt> observe(
      Observing observing,
      Backend backend,
      ImmutableList<int[]> taken,
      WorkFolder work,
      HessianFolder hessians,
      QuantizationListener listener) {
    return observing.run(
        new Observer(
            model.spec(),
            request.settings().selection(),
            new Requantizer(
                backend, model.weights(backend), request.settings().options(), hessians),
            work,
            listener::observing),
        () -> new Sensitivity(backend, model.spec(), model.weights(backend), taken));
  }

  /**
   * Writes the checkpoints; where that fails all blocks are kept. Returns why checks may have seen
   * the system's cache and not the disk.
   */
  private ImmutableSet<String> write(
      WorkFolder work,
      GrowingCheckpoints growing,
      ImmutableList<CheckpointSettings> checkpoints,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      Optional<ForeseenBudget> budget,
      Optional<TuningOutcome> tuned)
      throws IOException {
    try {
      return export(work, growing, checkpoints, reports, attempts, budget, tuned);
    } catch (IOException e) {
      throw new IOException(
          "%s; all finished blocks are kept in %s and the same command writes the checkpoint"
              .formatted(FileFailure.reason(e), work.folder()),
          e);
    }
  }

  private ImmutableSet<String> export(
      WorkFolder work,
      GrowingCheckpoints growing,
      ImmutableList<CheckpointSettings> checkpoints,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      Optional<ForeseenBudget> budget,
      Optional<TuningOutcome> tuned)
      throws IOException {
    ImmutableMap.Builder<String, String> logs = ImmutableMap.builder();
    if (!attempts.isEmpty()) {
      logs.put(ObservationLog.FILE, lines(attempts.stream().map(ObservationLog::line).toList()));
    }
    budget.ifPresent(chosen -> logs.put(ForeseenBudget.FILE, lines(chosen.lines())));
    tuned.ifPresent(outcome -> logs.put(TuningLog.FILE, lines(TuningLog.lines(outcome))));
    if (request.classicLog()) {
      int window = windows.isEmpty() ? 0 : windows.getFirst().length;
      logs.put(
          ClassicLog.FILE,
          lines(ClassicLog.lines(reports, attempts, model.spec().blocks().size(), window)));
    }
    ImmutableSet.Builder<String> unchecked = ImmutableSet.builder();
    for (CheckpointSettings checkpoint : checkpoints) {
      Optional<GrowingCheckpoint> grown = growing.of(checkpoint);
      Optional<String> cached =
          grown.isPresent()
              ? grown.get().finish(work, logs.buildOrThrow())
              : CheckpointExporter.export(
                  model,
                  work,
                  checkpoint,
                  logs.buildOrThrow(),
                  request.folder(checkpoint),
                  request.overwrite());
      cached.ifPresent(unchecked::add);
    }
    return unchecked.build();
  }

  private static String lines(List<String> lines) {
    return String.join("\n", lines) + "\n";
  }

  private QuantizationSummary summary(
      Backend backend,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      Optional<TuningOutcome> tuned,
      double seconds,
      double writing)
      throws IOException {
    CheckpointSettings first = request.checkpoints().getFirst();
    try (Checkpoint written = written(first)) {
      long packedBytes = 0;
      long weights = 0;
      for (ModuleReport report : reports) {
        if (first.format() instanceof GgufFormat) {
          packedBytes += ggufBytes(report);
        }
        for (String part : first.format().parts()) {
          packedBytes +=
              written.find(report.name() + "." + part).map(t -> t.data().byteSize()).orElse(0L);
        }
        weights += (long) report.rows() * report.columns();
      }
      return new QuantizationSummary(
          request,
          reports,
          attempts,
          tuned,
          seconds,
          writing,
          written.totalBytes(),
          8.0 * packedBytes / weights,
          backend.memory().reserved(),
          HeapPeak.bytes(),
          MemoryCounts.most());
    }
  }

  private Checkpoint written(CheckpointSettings checkpoint) throws IOException {
    Path place = place(checkpoint);
    return checkpoint.format() instanceof GgufFormat
        ? GgufFile.open(place).seenAs(ImmutableMap.of())
        : Checkpoint.open(place);
  }

  /**
   * Where a run puts the model that it makes, in the first of its formats: a folder, or a file, of
   * several the first.
   */
  public Path place() throws IOException {
    return place(request.checkpoints().getFirst());
  }

  private Path place(CheckpointSettings checkpoint) throws IOException {
    Path folder = request.folder(checkpoint);
    return checkpoint.format() instanceof GgufFormat
        ? GgufShards.first(folder.resolve(CheckpointExporter.weightFile(model, checkpoint)))
        : folder;
  }

  private long ggufBytes(ModuleReport report) {
    GgufType type = request.settings().types().get(report.name());
    if (type == null) {
      type =
          GgufType.of(
              new ModuleSettings(report.bits(), report.groupSize(), request.base().sym(), false));
    }
    return type.bytes((long) report.rows() * report.columns());
  }

  @Override
  public void close() throws IOException {
    try (Model _ = model) {
      if (locks.isPresent()) {
        locks.get().close();
      }
    }
  }
}
