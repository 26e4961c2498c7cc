package dev.gptq.models.forward;

import dev.gptq.backend.Activation;
import dev.gptq.backend.Backend;
import dev.gptq.backend.TransformerOps;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The derivatives of single steps: turns gradients with respect to what a step leaves behind into
 * those with respect to what it found. An activation without a gradient does not reach the loss.
 */
final class StepGradient {
  /** What a step found in activations, and their widths, as far as its derivative needs them. */
  private final Map<String, Tensor> kept = new HashMap<>();

  private final Map<String, Integer> widths = new HashMap<>();

  private final Context context;
  private final Backend backend;
  private final TransformerOps ops;
  private final BlockWeights weights;
  private final Pass pass;
  private final Step step;

  /** Whether the step is one of an expert that no token chose. */
  private final boolean idle;

  private final Optional<ExpertGradient> expert;

  private StepGradient(Context context, Step step, boolean idle, Optional<ExpertGradient> expert) {
    this.context = context;
    this.backend = context.backend();
    this.ops = context.backend().transformer();
    this.weights = context.weights();
    this.pass = context.pass();
    this.step = step;
    this.idle = idle;
    this.expert = expert;
  }

  /** The derivative of a step that is about to run; keeps what it needs in {@code scope}. */
  static StepGradient before(Step step, Registers registers, Context context, TensorScope scope) {
    boolean idle = step.reads().stream().anyMatch(registers::isEmpty);
    StepGradient gradient =
        new StepGradient(
            context, step, idle, idle ? Optional.empty() : expert(step, registers, context, scope));
    if (!idle) {
      gradient.keep(registers, scope);
    }
    return gradient;
  }

  private static Optional<ExpertGradient> expert(
      Step step, Registers registers, Context context, TensorScope scope) {
    return switch (step) {
      case Step.Gather gather ->
          Optional.of(ExpertGradient.before(gather, registers, context.backend(), scope));
      case Step.Scatter scatter ->
          Optional.of(ExpertGradient.before(scatter, registers, context.backend(), scope));
      default -> Optional.empty();
    };
  }

  /**
   * What steps run with.
   *
   * @param pass whole windows
   * @param keepInputs whether inputs of linear layers are kept, for the gradients of their weights
   */
  record Context(
      Backend backend, BlockWeights weights, RopeTables ropes, Pass pass, boolean keepInputs) {}

  private void keep(Registers registers, TensorScope scope) {
    if (expert.isPresent()) {
      return;
    }
    step.reads().forEach(name -> widths.put(name, registers.get(name).columns()));
    boolean needed =
        switch (step) {
          case Step.Norm _, Step.Attention _, Step.Activate _, Step.Gate _, Step.Route _ -> true;
          case Step.Linears _ -> context.keepInputs();
          default -> false;
        };
    if (needed) {
      for (String name : step.reads()) {
        Tensor x = registers.get(name);
        Tensor copy = scope.rowMajor(x.type(), x.rows(), x.columns());
        backend.linalg().convert(x, copy);
        kept.put(name, copy);
      }
    }
  }

  /** Goes back over the step; {@code atGroup} sees the gradients at a group of linear layers. */
  void back(Registers gradients, BlockGradient.AtGroup atGroup) {
    boolean reaches =
        step.defines().isEmpty() || step.defines().stream().anyMatch(gradients::isDefined);
    if (idle || !reaches) {
      return;
    }
    switch (step) {
      case Step.Norm norm -> normalise(norm, gradients);
      case Step.Linears group -> {
        atGroup.seen(group, Optional.ofNullable(kept.get(group.in())));
        for (LinearSpec module : group.modules()) {
          multiply(module, group.in(), gradients);
        }
      }
      case Step.Project project -> multiply(project.module(), project.in(), gradients);
      case Step.Split split -> split(split, gradients);
      case Step.Join join -> join(join, gradients);
      case Step.Weigh weigh -> weigh(weigh, gradients);
      case Step.Scale scale -> inPlace(scale.of(), gradients, d -> ops.scale(scale.factor(), d));
      case Step.Temper temper ->
          inPlace(
              temper.of(),
              gradients,
              d -> new StepRunner(backend, weights, context.ropes(), gradients, pass).run(temper));
      case Step.Rope rope -> inPlace(rope.of(), gradients, d -> rotateBack(rope, d));
      case Step.Activate activate ->
          inPlace(
              activate.of(),
              gradients,
              d ->
                  backend
                      .gradients()
                      .activateGradient(activate.function(), kept.get(activate.of()), d, d));
      case Step.Gate gate -> gate(gate, gradients);
      case Step.Add add -> inPlace(add.to(), gradients, d -> accumulate(add.what(), d, gradients));
      case Step.Positions _ -> {}
      case Step.Attention attention -> attend(attention, gradients);
      case Step.Route route -> route(route, gradients);
      case Step.Gather gather -> expert.orElseThrow().back(gather, gradients);
      case Step.Scatter scatter -> expert.orElseThrow().back(scatter, gradients);
      case Step.Convolve _,
          Step.DeltaRule _,
          Step.StateSpace _,
          Step.Clamp _,
          Step.Xielu _,
          Step.Lookup _ ->
          throw new IllegalStateException("no derivative of " + Derivatives.nameOf(step));
    }
    step.defines().stream()
        .filter(name -> !step.reads().contains(name))
        .forEach(gradients::release);
  }

  /** Changes the gradient of an activation that the step changes in place, if it has one. */
  private static void inPlace(String name, Registers gradients, Consumer<Tensor> change) {
    if (gradients.isDefined(name)) {
      change.accept(gradients.get(name));
    }
  }

  /** {@code gradient ← gradient + d}, zero before it is defined. */
  private void accumulate(String name, Tensor d, Registers gradients) {
    if (gradients.isDefined(name)) {
      ops.add(d, gradients.get(name));
    } else {
      gradients.define(name, d.rows(), d.columns(), sum -> backend.linalg().convert(d, sum));
    }
  }

  private void normalise(Step.Norm step, Registers gradients) {
    Norm norm = weights.norms().get(step.kind().name());
    Tensor x = kept.get(step.in());
    Tensor dy = gradients.get(step.out());
    if (step.in().equals(step.out())) {
      norm.back(backend, x, dy, dy);
      return;
    }
    try (TensorScope local = backend.newScope()) {
      Tensor dx = local.rowMajor(x.type(), x.rows(), x.columns());
      norm.back(backend, x, dy, dx);
      accumulate(step.in(), dx, gradients);
    }
  }

  /** {@code dx ← dx + dy·W}. */
  private void multiply(LinearSpec module, String in, Registers gradients) {
    if (!gradients.isDefined(module.out())) {
      return;
    }
    Tensor dy = gradients.get(module.out());
    Tensor w = weights.dense(module);
    if (gradients.isDefined(in) && !in.equals(module.out())) {
      backend.linalg().gemm(1, dy, w, 1, gradients.get(in));
    } else {
      gradients.define(in, dy.rows(), w.columns(), dx -> backend.linalg().gemm(1, dy, w, 0, dx));
    }
  }

  private void split(Step.Split split, Registers gradients) {
    int rows = rowsOf(gradients, split);
    int columns = widths.get(split.in());
    try (TensorScope local = backend.newScope()) {
      Tensor whole = local.zeros(backend.activationType(), rows, columns, Layout.ROW_MAJOR);
      int stride = columns / split.runs();
      int from = 0;
      for (Step.Split.Part part : split.parts()) {
        int width = part.columns() / split.runs();
        if (gradients.isDefined(part.name())) {
          Tensor d = gradients.get(part.name());
          for (int run = 0; run < split.runs(); run++) {
            int at = run * stride + from;
            backend
                .linalg()
                .convert(d.columns(run * width, (run + 1) * width), whole.columns(at, at + width));
          }
        }
        from += width;
      }
      accumulate(split.in(), whole, gradients);
    }
  }

  private static int rowsOf(Registers gradients, Step step) {
    return step.defines().stream()
        .filter(gradients::isDefined)
        .findFirst()
        .map(name -> gradients.get(name).rows())
        .orElseThrow();
  }

  private void join(Step.Join join, Registers gradients) {
    Tensor dy = gradients.get(join.out());
    Map<String, Tensor> sums = new HashMap<>();
    try (TensorScope local = backend.newScope()) {
      int to = 0;
      for (int head = 0; head < join.heads(); head++) {
        for (Step.Join.Piece part : join.parts()) {
          Tensor sum =
              sums.computeIfAbsent(
                  part.name(),
                  name -> local.zeros(dy.type(), dy.rows(), widths.get(name), Layout.ROW_MAJOR));
          int from = head * part.size();
          ops.add(dy.columns(to, to + part.columns()), sum.columns(from, from + part.columns()));
          to += part.columns();
        }
      }
      sums.forEach((name, sum) -> accumulate(name, sum, gradients));
    }
  }

  private void weigh(Step.Weigh step, Registers gradients) {
    Tensor dy = gradients.get(step.out());
    Tensor factors = weights.tables().get(step.numbers());
    try (TensorScope local = backend.newScope()) {
      Tensor dx = local.rowMajor(dy.type(), dy.rows(), dy.columns());
      ops.convolve(dy, factors, pass.sequences(), dx);
      if (step.in().equals(step.out())) {
        backend.linalg().convert(dx, dy);
      } else {
        accumulate(step.in(), dx, gradients);
      }
    }
  }

  /** A rotation back is one by the opposite angles. */
  private void rotateBack(Step.Rope step, Tensor d) {
    int end = pass.firstPosition() + d.rows() / pass.sequences();
    RopeTable table = context.ropes().of(step.rope(), end, end);
    try (TensorScope local = backend.newScope()) {
      Tensor sine = table.sine().rows(0, end);
      Tensor opposite = local.zeros(sine.type(), end, sine.columns(), Layout.ROW_MAJOR);
      backend.linalg().axpy(-1, sine, opposite);
      ops.rope(
          d,
          step.headSize(),
          step.rope().pairs(),
          table.cosine().rows(0, end),
          opposite,
          pass.firstPosition(),
          pass.sequences());
    }
  }

  /** {@code d(up) = f(gate)∘dy}, {@code d(gate) = f′(gate)∘(up∘dy)}. */
  private void gate(Step.Gate step, Registers gradients) {
    if (!gradients.isDefined(step.gate())) {
      return;
    }
    Tensor dy = gradients.get(step.gate());
    Tensor gate = kept.get(step.gate());
    Tensor up = kept.get(step.up());
    try (TensorScope local = backend.newScope()) {
      Tensor product = local.rowMajor(dy.type(), dy.rows(), dy.columns());
      ops.gate(step.function(), gate, dy, product);
      accumulate(step.up(), product, gradients);
      ops.gate(Activation.IDENTITY, up, dy, product);
      backend.gradients().activateGradient(step.function(), gate, product, dy);
    }
  }

  private void route(Step.Route step, Registers gradients) {
    Tensor x = kept.get(step.in());
    try (TensorScope local = backend.newScope()) {
      Tensor dx = local.zeros(x.type(), x.rows(), x.columns(), Layout.ROW_MAJOR);
      new Router(backend, weights, step)
          .back(x, gradients.get(step.router().out()), weights.dense(step.router()), dx);
      accumulate(step.in(), dx, gradients);
    }
  }

  private void attend(Step.Attention step, Registers gradients) {
    Optional<Tensor> sinks = step.sinks().map(name -> weights.tables().get(name));
    Tensor dy = gradients.get(step.out());
    Tensor q = kept.get(step.q());
    Tensor k = kept.get(step.k());
    Tensor v = kept.get(step.v());
    try (TensorScope local = backend.newScope()) {
      AttentionGradient attention =
          new AttentionGradient(backend, step.spec(), sinks, q, k, v, dy, local);
      int length = q.rows() / pass.sequences();
      int chunk = step.chunk() == 0 ? length : step.chunk();
      if (length % chunk == 0) {
        attention.run(0, q.rows() / chunk, chunk, AttentionGradient.SCORES);
      } else {
        for (int first = 0; first < q.rows(); first += length) {
          int whole = length / chunk;
          attention.run(first, whole, chunk, AttentionGradient.SCORES);
          attention.run(first + whole * chunk, 1, length % chunk, AttentionGradient.SCORES);
        }
      }
      accumulate(step.q(), attention.ofQueries(), gradients);
      accumulate(step.k(), attention.ofKeys(local), gradients);
      accumulate(step.v(), attention.ofValues(local), gradients);
    }
  }
}
