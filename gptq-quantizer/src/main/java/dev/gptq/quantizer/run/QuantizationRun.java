package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.observe.ExpectedDivergence;
import dev.gptq.quantizer.observe.ForeseenBudget;
import dev.gptq.quantizer.pipeline.BorderChoice;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import dev.gptq.quantizer.pipeline.FirstWeights;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.StateFolder;
import dev.gptq.quantizer.store.WeightFiles;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A plan on its way to be carried out: finds what an interrupted run has left, and decides what is
 * not known before that, which windows are taken, what of the state is kept and how bits are dealt
 * out. {@link RunSteps} does the rest.
 */
final class QuantizationRun {
  /**
   * What can be known before a run is rehearsed.
   *
   * @param key everything that decides the result
   * @param disk what it needs of the disk with the windows of the plan, but for hidden states
   */
  record Known(RunKey key, DiskEstimate disk) {

    /**
     * Finds it out.
     *
     * @param further windows that may be taken, too
     */
    static Known of(RunNeeds needs, ImmutableList<int[]> further) throws IOException {
      return new Known(QuantizationRun.key(needs, further), needs.disk(needs.windows()));
    }
  }

  private final RunNeeds needs;
  private final ImmutableList<int[]> further;
  private final QuantizationListener listener;
  private final Model model;
  private final RunRequest request;
  private final Backend backend;
  private final RunOutput output;
  private final RunClock clock;

  /**
   * A run.
   *
   * @param needs of its request, whose output is locked
   * @param further windows that may be taken, too
   * @param clock counts since the run has begun
   */
  QuantizationRun(
      RunNeeds needs, ImmutableList<int[]> further, QuantizationListener listener, RunClock clock) {
    this.needs = needs;
    this.further = further;
    this.listener = listener;
    this.clock = clock;
    this.model = needs.model();
    this.request = needs.request();
    this.backend = needs.backend();
    this.output = new RunOutput(model, request);
  }

  /**
   * Carries it out.
   *
   * @param foreseen what it takes with the windows of the plan, for which there is room
   * @param known what was found out meanwhile
   * @param first weights of the first block that may be on their way
   */
  QuantizationSummary run(Forecast foreseen, Known known, FirstWeights first) throws IOException {
    try (WorkFolder work =
        WorkFolder.open(
            request.output(),
            known.key(),
            module -> model.checkpoint().find(module + ".bias"),
            listener::note)) {
      ImmutableList<CheckpointSettings> missing = output.missing(work);
      if (missing.isEmpty()) {
        return complete(work);
      }
      ImmutableList<CheckpointSettings> wanted = request.resume() ? missing : request.checkpoints();
      begin(wanted, work);
      ImmutableList<int[]> taken = taken();
      Forecast forecast = foreseen;
      if (taken.size() > needs.windows().size()) {
        forecast = needs.forecast(taken);
        needs.requireMemory(forecast, taken);
      }
      DiskEstimate.Kept kept = kept(forecast, known, taken, work);
      StateFolder states = work.states(kept.curvature(), listener::note);
      listener.working(work.folder(), work.finished());
      Optional<ImportanceKeeper> importance = importance(work);
      forecast.note().ifPresent(listener::note);
      Optional<ForeseenBudget> budget = budget(work);
      return new RunSteps(
              model, withBits(budget), needs.tuning(), backend, work, listener, taken, clock)
          .run(forecast, first, kept, states, importance, budget, wanted);
    }
  }

  /** What is said of a run that had nothing left to do. */
  private QuantizationSummary complete(WorkFolder work) throws IOException {
    listener.note(request.output() + " was complete already; cleared away what was left");
    work.delete();
    ImmutableList<ModuleReport> reports = QuantizationLog.read(request.folders().getFirst());
    return clock.summary(
        request, output.size(reports), backend, reports, ImmutableList.of(), Optional.empty());
  }

  private void begin(ImmutableList<CheckpointSettings> wanted, WorkFolder work) throws IOException {
    if (!request.overwrite()) {
      for (CheckpointSettings checkpoint : wanted) {
        QuantizationChecks.requireFree(request.folder(checkpoint));
      }
    }
    if (!request.resume()) {
      work.delete();
    }
  }

  /** The windows, and with {@code expertTokens} as many of the others as it takes. */
  private ImmutableList<int[]> taken() {
    if (request.expertTokens().isEmpty()) {
      return needs.windows();
    }
    return new ExpertWindows(request.expertTokens().getAsInt(), further)
        .choose(
            needs.windows(),
            new ExpertCounts(
                backend, model.spec(), model.weights(backend), request.settings().selection()),
            listener::note);
  }

  /** What of the state is kept; throws if the disk has no room for what will be written. */
  private DiskEstimate.Kept kept(
      Forecast forecast, Known known, ImmutableList<int[]> taken, WorkFolder work)
      throws IOException {
    boolean more = taken.size() > needs.windows().size();
    DiskEstimate disk =
        (more ? needs.disk(taken) : known.disk()).withWaiting(needs.waiting(forecast));
    long free = needs.free(work.folder());
    DiskEstimate.Kept kept = disk.keeps(request.keptStates(), free, request.output());
    listener.disk(disk.sentence(kept, free));
    return kept;
  }

  private Optional<ImportanceKeeper> importance(WorkFolder work) {
    if (request.importance().isPresent() && work.finished() > 0) {
      throw new RequestException(
          "blocks that an earlier run finished are not calibrated again, so that an importance matrix"
              + " would lack them; add --no-resume, or leave the matrix out");
    }
    return request.importance().map(file -> new ImportanceKeeper(model, file, request.overwrite()));
  }

  /** Which bits and group sizes modules get, where that is decided beforehand. */
  private Optional<ForeseenBudget> budget(WorkFolder work) {
    if (!(request.observing().orElse(null) instanceof Observing.Budget wanted)) {
      return Optional.empty();
    }
    BorderChoice borders = needs.borders();
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
            ExpectedDivergence.some(model.spec(), needs.windows()),
            wanted.bits());
    listener.note(budget.sentence());
    return Optional.of(budget);
  }

  private RunRequest withBits(Optional<ForeseenBudget> budget) {
    return budget
        .map(chosen -> request.with(request.settings().withPrecisions(chosen.precisions())))
        .orElse(request);
  }

  /** Everything that decides the result. */
  private static RunKey key(RunNeeds needs, ImmutableList<int[]> further) throws IOException {
    Model model = needs.model();
    RunRequest request = needs.request();
    RunKey.Builder key = RunKey.builder();
    model
        .config()
        .json()
        .properties()
        .forEach(part -> key.add("config.json " + part.getKey(), part.getValue()));
    needs
        .tuning()
        .ifPresent(planned ->
            key.add("tuning text", planned.text().training())
                .add("tuning text held out", planned.text().heldOut()));
    return key.add(WeightFiles.of(model.checkpoint()))
        .add("settings", request.settings())
        .add("format", request.base())
        .add("observing", request.observing())
        .add("tuning", request.tuning())
        .add(needs.backend())
        .add("expert tokens", request.expertTokens())
        .add("windows before experts are looked at", needs.windows().size())
        .add(Stream.concat(needs.windows().stream(), further.stream()).toList())
        .build();
  }
}
