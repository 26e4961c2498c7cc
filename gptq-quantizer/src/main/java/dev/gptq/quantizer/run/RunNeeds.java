package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.quantizer.observe.ExpectedDivergence;
import dev.gptq.quantizer.pipeline.BorderChoice;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.FirstWeights;
import dev.gptq.quantizer.pipeline.Forecast;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a request takes of a backend and of the disk of its output.
 *
 * @param windows that a budget of bits is chosen with
 */
record RunNeeds(
    Model model,
    RunRequest request,
    ImmutableList<int[]> windows,
    Optional<PlannedTuning> tuning,
    Backend backend) {

  /** What the blocks take that are calibrated with some windows. */
  Forecast forecast(ImmutableList<int[]> taken) {
    return Forecast.within(
        backend.memory().most(),
        backend,
        model.spec(),
        model::weights,
        request.settings(),
        taken,
        request.hiddenStates());
  }

  /**
   * Begins to bring the weights of the first block, unless something else is computed on the
   * backend before it, or room for more than its blocks is asked for.
   */
  FirstWeights firstWeights() {
    return request.expertTokens().isPresent() || request.observing().isPresent()
        ? FirstWeights.none()
        : FirstWeights.begin(backend, model.spec(), model.weights(backend));
  }

  /** Throws {@link dev.gptq.tensor.OutOfMemoryException} if something does not fit into memory. */
  void requireMemory(Forecast forecast, ImmutableList<int[]> taken) {
    MemoryFit fit = fit(taken);
    fit.require(forecast);
    tuning.ifPresent(planned -> planned.requireRoom(backend));
    switch (request.observing().orElse(null)) {
      case null -> {}
      case Observing.Worst _ -> {}
      case Observing.Budget _ -> fit.requireGradients(borders().tensors());
      case Observing.MeasuredBudget _ ->
          fit.requireWhole(
              Loading.AUTO.resolve(backend, ImmutableList.of(model), taken, message -> {}));
    }
  }

  /** What of it would fit. */
  MemoryFit fit(ImmutableList<int[]> taken) {
    return new MemoryFit(backend, model, request.settings(), taken, request.hiddenStates());
  }

  /** Where the gradients of a budget of bits have hidden states, and what they take. */
  BorderChoice borders() {
    ImmutableList<int[]> some = ExpectedDivergence.some(model.spec(), windows);
    return BorderChoice.of(
        backend,
        request.hiddenStates(),
        BorderRoom.bytes(model.spec(), some, backend.activationType()),
        where ->
            ExpectedDivergence.bytes(
                backend, model.spec(), model::weights, request.settings(), some, where));
  }

  /** What is written to the disk of the output. */
  DiskEstimate disk(Forecast forecast, ImmutableList<int[]> taken) throws IOException {
    return disk(taken).withWaiting(waiting(forecast));
  }

  /** The same without hidden states that lie in files. */
  DiskEstimate disk(ImmutableList<int[]> taken) throws IOException {
    return DiskEstimate.of(model, request, taken, backend.activationType());
  }

  /** Bytes of hidden states that lie in files, the most at a time. */
  long waiting(Forecast forecast) {
    long budget =
        request.observing().orElse(null) instanceof Observing.Budget ? borders().files() : 0;
    long tuned = tuning.map(planned -> planned.choice(backend).files()).orElse(0L);
    return Math.max(forecast.files(), Math.max(budget, tuned));
  }

  /**
   * What is free on the disk of the output, what is left of an earlier run counted in.
   *
   * @param work the folder of the run
   */
  long free(Path work) throws IOException {
    List<Path> left = new ArrayList<>(List.of(work));
    request.folders().forEach(folder -> left.add(CheckpointWriter.unfinished(folder)));
    return DiskEstimate.free(request.output(), left);
  }
}
