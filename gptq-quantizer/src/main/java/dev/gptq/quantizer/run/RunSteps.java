package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.ClassicLog;
import dev.gptq.quantizer.observe.ForeseenBudget;
import dev.gptq.quantizer.observe.HessianFolder;
import dev.gptq.quantizer.observe.HessianKeeper;
import dev.gptq.quantizer.observe.ObservationLog;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Requantizer;
import dev.gptq.quantizer.observe.Sensitivity;
import dev.gptq.quantizer.pipeline.BlockStore;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import dev.gptq.quantizer.pipeline.FirstWeights;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.StateStore;
import dev.gptq.quantizer.pipeline.Waiting;
import dev.gptq.quantizer.store.StateFolder;
import dev.gptq.quantizer.store.WorkFolder;
import dev.gptq.quantizer.tune.TuningLog;
import dev.gptq.quantizer.tune.TuningOutcome;
import dev.gptq.quantizer.tune.TuningStates;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;

/**
 * The steps of a run of which everything is decided: blocks, observing, tuning, checkpoints.
 *
 * @param taken calibration windows
 */
record RunSteps(
    Model model,
    RunRequest request,
    Optional<PlannedTuning> tuning,
    Backend backend,
    WorkFolder work,
    QuantizationListener listener,
    ImmutableList<int[]> taken,
    RunClock clock) {

  /**
   * Does them all.
   *
   * @param forecast what the blocks take
   * @param first weights of the first of them that may be on their way
   * @param kept what of the state is kept
   * @param states where that is kept
   * @param importance is given an importance matrix
   * @param budget what has decided the bits of the request
   * @param wanted the checkpoints that are to be written
   */
  QuantizationSummary run(
      Forecast forecast,
      FirstWeights first,
      DiskEstimate.Kept kept,
      StateFolder states,
      Optional<ImportanceKeeper> importance,
      Optional<ForeseenBudget> budget,
      ImmutableList<CheckpointSettings> wanted)
      throws IOException {
    HessianFolder hessians = new HessianFolder(work.folder().resolve("hessians"));
    JobListener heard = heard(hessians);
    try (GrowingCheckpoints growing =
        new GrowingCheckpoints(
            model, request, kept.growing() ? wanted : ImmutableList.of(), work)) {
      blocks(
          forecast,
          first,
          growing,
          importance.map(keeper -> keeper.before(heard)).orElse(heard),
          kept.states() ? states : StateStore.NONE);
      states.delete();
      if (importance.isPresent()) {
        importance.get().write(taken.getFirst().length);
      }
      ImmutableList<Attempt> attempts = observe(hessians);
      TuningStates tunings = kept.states() ? work.tuning(listener::note) : TuningStates.NONE;
      Optional<TuningOutcome> tuned =
          tuning.map(planned -> planned.run(backend, work, tunings, listener));
      ImmutableList<ModuleReport> reports = reports();
      write(growing, wanted, logs(reports, attempts, budget, tuned));
      // Gigabytes of cached files take a while to go; nothing else here needs them.
      Future<?> deleted = CompletableFuture.runAsync(this::deleteWork);
      tellOfExperts(reports);
      RunOutput.Size size = new RunOutput(model, request).size(reports);
      Waiting.waitFor(deleted, "finished blocks were being deleted");
      listener.done();
      return clock.summary(request, size, backend, reports, attempts, tuned);
    }
  }

  private void deleteWork() {
    try {
      work.delete();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Hears of modules, and of Hessians where they are needed afterwards. */
  private JobListener heard(HessianFolder hessians) {
    return request
        .observing()
        .filter(observing -> !observing.isForeseen())
        .<JobListener>map(observing ->
            new HessianKeeper(model.spec(), hessians, observing.worst(), work, listener))
        .orElse(listener);
  }

  private void blocks(
      Forecast forecast,
      FirstWeights first,
      BlockStore store,
      JobListener heard,
      StateStore states) {
    new QuantizationJob(
            backend, model.spec(), model.weights(backend), request.settings(), taken, store, heard)
        .with(forecast.activations())
        .with(forecast.weights(), first)
        .with(forecast.places(), work.hiddenStates())
        .run(states);
  }

  private ImmutableList<Attempt> observe(HessianFolder hessians) {
    if (request.observing().isEmpty()) {
      return ImmutableList.of();
    }
    return request
        .observing()
        .get()
        .run(
            new Observer(
                model.spec(),
                request.settings().selection(),
                new Requantizer(
                    backend, model.weights(backend), request.settings().options(), hessians),
                work,
                listener::observing),
            () -> new Sensitivity(backend, model.spec(), model.weights(backend), taken));
  }

  private ImmutableList<ModuleReport> reports() {
    ImmutableList.Builder<ModuleReport> all = ImmutableList.builder();
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      all.addAll(work.reports(block));
    }
    return all.build();
  }

  /** What is written beside each checkpoint, by the names of files. */
  private ImmutableMap<String, String> logs(
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      Optional<ForeseenBudget> budget,
      Optional<TuningOutcome> tuned) {
    ImmutableMap.Builder<String, String> logs = ImmutableMap.builder();
    if (!attempts.isEmpty()) {
      logs.put(ObservationLog.FILE, lines(attempts.stream().map(ObservationLog::line).toList()));
    }
    budget.ifPresent(chosen -> logs.put(ForeseenBudget.FILE, lines(chosen.lines())));
    tuned.ifPresent(outcome -> logs.put(TuningLog.FILE, lines(TuningLog.lines(outcome))));
    if (request.classicLog()) {
      int window = taken.isEmpty() ? 0 : taken.getFirst().length;
      logs.put(
          ClassicLog.FILE,
          lines(ClassicLog.lines(reports, attempts, model.spec().blocks().size(), window)));
    }
    return logs.buildOrThrow();
  }

  private static String lines(List<String> lines) {
    return String.join("\n", lines) + "\n";
  }

  private void write(
      GrowingCheckpoints growing,
      ImmutableList<CheckpointSettings> wanted,
      ImmutableMap<String, String> logs)
      throws IOException {
    clock.startWriting();
    listener.writing(request.output());
    growing.await().forEach(listener::note);
    for (String reason : new RunOutput(model, request).write(work, growing, wanted, logs)) {
      listener.note(
          "the checkpoint was compared through the system's cache and not with what the disk"
              + " returns: "
              + reason);
    }
  }

  /** Which experts have not seen as many tokens as was wanted. */
  private void tellOfExperts(ImmutableList<ModuleReport> reports) {
    request
        .expertTokens()
        .ifPresent(wanted ->
            ExpertWindows.tell(
                wanted,
                ImmutableSet.copyOf(
                    ExpertCounts.experts(model.spec(), request.settings().selection())),
                reports,
                listener::note));
  }
}
