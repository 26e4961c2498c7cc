package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Registers;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.InputDrift;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What the calibration tokens tell about the input of a group of linear layers.
 *
 * @param hessian their Hessian
 * @param drift how far the input is from that of the full-precision model, if a target asks for it
 */
record InputStatistics(Hessian hessian, Optional<InputDrift> drift) {

  /**
   * Empty sums for the group that is step {@code index}. Inputs of experts have no drift: the
   * full-precision model sends other tokens to them.
   */
  static InputStatistics of(
      Backend backend, List<Step> steps, int index, Target.Kind target, TensorScope scope) {
    Step.Linears group = (Step.Linears) steps.get(index);
    int columns = group.modules().getFirst().inputs();
    Optional<InputDrift> drift = Optional.empty();
    if (target != Target.Kind.PLAIN && !isRouted(steps, index)) {
      Optional<Integer> residual =
          target == Target.Kind.RESIDUAL && writesResidual(steps, index)
              ? Optional.of(group.modules().getFirst().outputs())
              : Optional.empty();
      drift = Optional.of(new InputDrift(backend, scope, columns, residual));
    }
    return new InputStatistics(new Hessian(backend, scope, columns), drift);
  }

  /** Whether the step lies between the gathering and the scattering of an expert's tokens. */
  private static boolean isRouted(List<Step> steps, int index) {
    for (Step step : steps.subList(0, index).reversed()) {
      if (step instanceof Step.Scatter) {
        return false;
      }
      if (step instanceof Step.Gather) {
        return true;
      }
    }
    return false;
  }

  /**
   * Whether the output of the group is added, as it is, to the residual stream as it is when the
   * group runs: no step before that addition changes the one or the other.
   */
  static boolean writesResidual(List<Step> steps, int index) {
    String out = ((Step.Linears) steps.get(index)).modules().getLast().out();
    for (Step step : steps.subList(index + 1, steps.size())) {
      if (step instanceof Step.Add add && add.to().equals(Step.RESIDUAL)) {
        return add.what().equals(out);
      }
      if (step.reads().contains(out) || step.defines().contains(out)) {
        return false;
      }
    }
    return false;
  }

  /** Whether the output of the group comes to the residual stream changed, behind a norm say. */
  static boolean reachesResidualChanged(List<Step> steps, int index) {
    String out = ((Step.Linears) steps.get(index)).modules().getLast().out();
    return !writesResidual(steps, index)
        && steps.subList(index + 1, steps.size()).stream()
            .anyMatch(step ->
                step instanceof Step.Add add
                    && add.to().equals(Step.RESIDUAL)
                    && add.what().equals(out));
  }

  /**
   * Adds other sums.
   *
   * @param elsewhere whether they lie on another device, which was waited for
   */
  void add(InputStatistics other, boolean elsewhere) {
    hessian.add(other.hessian, elsewhere);
    drift.ifPresent(sums -> sums.add(other.drift.orElseThrow(), elsewhere));
  }

  /** Adds the tokens of a batch, each with its weight. */
  void add(Backend backend, CalibrationBatch batch, Step.Linears group, GroupCurvature curvature) {
    Tensor x = batch.registers().get(group.in());
    int first = batch.first();
    int last = first + x.rows();
    try (TensorScope local = backend.newScope()) {
      hessian.add(weighed(backend, x, curvature.weights(first, last, true, local), local));
      drift.ifPresent(d -> {
        Registers full = batch.full().orElseThrow();
        Tensor input = weighed(backend, x, curvature.weights(first, last, false, local), local);
        d.add(full.get(group.in()), x, input);
        if (d.wantsResidual()) {
          d.addResidual(full.get(Step.RESIDUAL), batch.registers().get(Step.RESIDUAL), input);
        }
      });
    }
  }

  /** Rows times their factors. */
  private static Tensor weighed(Backend backend, Tensor x, Tensor factors, TensorScope scope) {
    int[] rows = new int[x.rows()];
    Arrays.setAll(rows, t -> t);
    Tensor y = scope.zeros(x.type(), x.rows(), x.columns(), Layout.ROW_MAJOR);
    backend.transformer().scatterAddRows(x, scope.upload(rows), factors, y);
    return y;
  }

  /** Adds the tokens of a batch that reach the group; an expert may get none. */
  void add(Registers registers, Optional<Registers> full, Step.Linears group) {
    if (registers.isEmpty(group.in())) {
      return;
    }
    hessian.add(registers.get(group.in()));
    drift.ifPresent(d -> {
      d.add(full.orElseThrow().get(group.in()), registers.get(group.in()));
      if (d.wantsResidual()) {
        d.addResidual(
            full.orElseThrow().get(Step.RESIDUAL),
            registers.get(Step.RESIDUAL),
            registers.get(group.in()));
      }
    });
  }
}
