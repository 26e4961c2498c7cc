package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.quantizer.pipeline.FirstCalls;
import dev.gptq.quantizer.pipeline.FirstWeights;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.Weights;
import dev.gptq.quantizer.store.OutputLocks;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

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
    Forecast forecast = needs(backend).forecast(windows);
    if (!presetCurvature) {
      return forecast;
    }
    ImmutableList.Builder<String> known = ImmutableList.<String>builder().addAll(notes);
    Optional<QuantizationSettings> inputs =
        needs(backend).fit(windows).withoutGradients(forecast, room, known::add);
    if (inputs.isEmpty()) {
      return forecast;
    }
    request = request.with(inputs.get());
    notes = known.build();
    return needs(backend).forecast(windows);
  }

  private RunNeeds needs(Backend backend) {
    return new RunNeeds(model, request, windows, tuning, backend);
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
    needs(backend).requireMemory(forecast, windows);
  }

  /** What it needs of the disk of its output. */
  public DiskEstimate disk(Backend backend, Forecast forecast) throws IOException {
    return needs(backend).disk(forecast, windows);
  }

  /**
   * What of the run's state would be kept with what is free now.
   *
   * @throws IOException if the disk has no room for what would be written
   */
  public DiskEstimate.Kept wouldKeep(Backend backend, Forecast forecast) throws IOException {
    Path output = request.output();
    return disk(backend, forecast).keeps(request.keptStates(), needs(backend).free(output), output);
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
    RunClock clock = new RunClock();
    if (locks.isEmpty()) {
      locks = Optional.of(OutputLocks.acquire(request.places()));
    }
    RunNeeds planned = needs(backend);
    try (FirstCalls _ = FirstCalls.begin(backend, model.spec(), request.settings(), windows);
        FirstWeights first = planned.firstWeights();
        Beside<QuantizationRun.Known> known =
            Beside.begin("gptq-run-key", () -> QuantizationRun.Known.of(planned, further))) {
      Forecast forecast = forecast(backend);
      notes.forEach(listener::note);
      requireMemory(backend, forecast);
      if (forecast.weights() != Weights.AHEAD) {
        first.giveBack();
      }
      RunNeeds needs = needs(backend);
      QuantizationSummary summary =
          new QuantizationRun(needs, further, listener, clock)
              .run(
                  forecast,
                  needs.equals(planned) ? known.result() : QuantizationRun.Known.of(needs, further),
                  first);
      request = summary.request();
      return summary;
    }
  }

  /**
   * Where a run puts the model that it makes, in the first of its formats: a folder, or a file, of
   * several the first.
   */
  public Path place() throws IOException {
    return new RunOutput(model, request).place();
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
