package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * The derivatives of the steps around an expert: to take the rows of its tokens is to add their
 * gradients to those of the tokens, and the other way round. Where rows are weighted, the gradient
 * with respect to the weights is kept by the name of the routes, tokens × experts.
 */
final class ExpertGradient {
  private final Backend backend;
  private final ExpertRows rows;
  private final int tokens;
  private final int experts;

  /** What weights multiply, if they do. */
  private final Optional<Tensor> weighted;

  private ExpertGradient(
      Backend backend, Registers registers, String routes, int expert, int tokens) {
    this(
        backend,
        new ExpertRows(backend, registers.routes(routes), expert),
        tokens,
        registers.routes(routes).experts().size(),
        Optional.empty());
  }

  private ExpertGradient(
      Backend backend, ExpertRows rows, int tokens, int experts, Optional<Tensor> weighted) {
    this.backend = backend;
    this.rows = rows;
    this.tokens = tokens;
    this.experts = experts;
    this.weighted = weighted;
  }

  /** Before rows are gathered. */
  static ExpertGradient before(
      Step.Gather step, Registers registers, Backend backend, TensorScope scope) {
    Tensor x = registers.get(step.in());
    ExpertGradient plain =
        new ExpertGradient(backend, registers, step.routes(), step.expert(), x.rows());
    if (!step.weighted()) {
      return plain;
    }
    Tensor own = scope.rowMajor(x.type(), plain.rows.count(), x.columns());
    plain.rows.gather(x, false, own);
    return plain.weighing(own);
  }

  /** Before rows are added. */
  static ExpertGradient before(
      Step.Scatter step, Registers registers, Backend backend, TensorScope scope) {
    int tokens = registers.get(step.to()).rows();
    ExpertGradient plain =
        new ExpertGradient(backend, registers, step.routes(), step.expert(), tokens);
    if (!step.weighted()) {
      return plain;
    }
    Tensor x = registers.get(step.what());
    Tensor own = scope.rowMajor(x.type(), x.rows(), x.columns());
    backend.linalg().convert(x, own);
    return plain.weighing(own);
  }

  private ExpertGradient weighing(Tensor own) {
    return new ExpertGradient(backend, rows, tokens, experts, Optional.of(own));
  }

  /** Goes back over the gathering. */
  void back(Step.Gather step, Registers gradients) {
    Tensor dy = gradients.get(step.out());
    rows.scatter(dy, step.weighted(), sums(step.in(), dy.columns(), gradients));
    weighted.ifPresent(x -> rows.addDots(x, dy, sums(step.routes(), experts, gradients)));
  }

  /** Goes back over the adding, whose result has the gradient that what was added to has. */
  void back(Step.Scatter step, Registers gradients) {
    if (!gradients.isDefined(step.to())) {
      return;
    }
    Tensor dy = gradients.get(step.to());
    gradients.define(
        step.what(),
        rows.count(),
        dy.columns(),
        dx -> {
          rows.gather(dy, false, dx);
          if (weighted.isPresent()) {
            rows.addDots(weighted.get(), dx, sums(step.routes(), experts, gradients));
            rows.weigh(dx);
          }
        });
  }

  /** The gradient of that name, of all tokens; zero before it is defined. */
  private Tensor sums(String name, int columns, Registers gradients) {
    if (!gradients.isDefined(name)) {
      gradients.define(
          name,
          tokens,
          columns,
          sums -> {
            try (TensorScope local = backend.newScope()) {
              Tensor zeros = local.zeros(sums.type(), tokens, columns, Layout.ROW_MAJOR);
              backend.linalg().convert(zeros, sums);
            }
          });
    }
    return gradients.get(name);
  }
}
