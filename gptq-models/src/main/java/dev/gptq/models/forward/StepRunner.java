package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.TransformerOps;
import dev.gptq.models.family.DeltaSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.family.Step.Split.Part;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.Optional;

/** Computes single steps of a block. */
final class StepRunner {
  /** The numbers of an xIELU. */
  static final ImmutableList<String> XIELU = ImmutableList.of("alpha_p", "alpha_n", "beta");

  /** Heads of an operation: a GPU's grid has 65,535 blocks in that direction. */
  private static final int MOST_HEADS = 1 << 15;

  private final Backend backend;
  private final TransformerOps ops;
  private final BlockWeights weights;
  private final RopeTables ropes;
  private final Registers registers;
  private final Pass pass;

  StepRunner(
      Backend backend, BlockWeights weights, RopeTables ropes, Registers registers, Pass pass) {
    this.backend = backend;
    this.ops = backend.transformer();
    this.weights = weights;
    this.ropes = ropes;
    this.registers = registers;
    this.pass = pass;
  }

  /** Computes a step, unless it is one of an expert that no token chose. */
  void run(Step step) {
    if (registers.isAnyEmpty(step)) {
      step.defines().forEach(registers::defineEmpty);
      return;
    }
    switch (step) {
      case Step.Norm norm -> normalise(norm);
      case Step.Linears group -> multiply(group);
      case Step.Split split -> split(split);
      case Step.Project project -> project(project);
      case Step.Convolve convolve -> convolve(convolve);
      case Step.DeltaRule rule -> remember(rule);
      case Step.StateSpace space -> remember(space);
      case Step.Weigh weigh -> weigh(weigh);
      case Step.Clamp clamp -> ops.clamp(clamp.low(), clamp.high(), registers.get(clamp.of()));
      case Step.Xielu xielu -> activate(xielu);
      case Step.Temper temper -> temper(temper);
      case Step.Join join -> join(join);
      case Step.Positions positions -> addPositions(positions);
      case Step.Lookup lookup -> look(lookup);
      case Step.Scale scale -> ops.scale(scale.factor(), registers.get(scale.of()));
      case Step.Rope r -> rotate(r);
      case Step.Attention a -> attend(a);
      case Step.Activate a -> {
        Tensor x = registers.get(a.of());
        ops.activate(a.function(), x, x);
      }
      case Step.Gate g -> {
        Tensor gate = registers.get(g.gate());
        ops.gate(g.function(), gate, registers.get(g.up()), gate);
      }
      case Step.Add add -> ops.add(registers.get(add.what()), registers.get(add.to()));
      case Step.Route route -> route(route);
      case Step.Gather gather -> gather(gather);
      case Step.Scatter scatter -> scatter(scatter);
    }
  }

  private void normalise(Step.Norm step) {
    Norm norm = weights.norms().get(step.kind().name());
    Tensor x = registers.get(step.in());
    if (step.in().equals(step.out())) {
      norm.apply(backend, x, x);
    } else {
      registers.define(step.out(), x.rows(), x.columns(), y -> norm.apply(backend, x, y));
    }
  }

  private void multiply(Step.Linears group) {
    Tensor x = registers.get(group.in());
    JoinedLinears joined = weights.joined().get(group);
    if (joined != null) {
      joined.apply(backend, x, registers);
      return;
    }
    for (LinearSpec module : group.modules()) {
      Linear linear = weights.linears().get(module.module());
      registers.define(module.out(), x.rows(), module.outputs(), y -> linear.apply(backend, x, y));
    }
  }

  private void split(Step.Split split) {
    int from = 0;
    for (Part part : split.parts()) {
      int width = part.columns() / split.runs();
      if (split.runs() == 1) {
        registers.defineView(part.name(), split.in(), from, from + width);
      } else {
        gatherRuns(split, part, from, width);
      }
      from += width;
    }
  }

  /** Copies a part that lies in runs, each of which begins it at column {@code from}. */
  private void gatherRuns(Step.Split split, Part part, int from, int width) {
    Tensor x = registers.get(split.in());
    int stride = x.columns() / split.runs();
    registers.define(
        part.name(),
        x.rows(),
        part.columns(),
        y -> {
          for (int run = 0; run < split.runs(); run++) {
            int at = run * stride + from;
            backend
                .linalg()
                .convert(x.columns(at, at + width), y.columns(run * width, (run + 1) * width));
          }
        });
  }

  private void project(Step.Project step) {
    Tensor x = registers.get(step.in());
    Linear linear = weights.linears().get(step.module().module());
    registers.define(
        step.module().out(), x.rows(), step.module().outputs(), y -> linear.apply(backend, x, y));
  }

  private void convolve(Step.Convolve step) {
    Tensor x = registers.get(step.in());
    registers.define(
        step.out(),
        x.rows(),
        x.columns(),
        y -> {
          ops.convolve(
              withHistory(step.in(), Optional.empty()),
              weights.tables().get(step.module()),
              pass.sequences(),
              y);
          if (step.bias()) {
            ops.addBias(weights.tables().get(step.module() + ".bias"), y);
          }
        });
  }

  /** A convolution over one token. */
  private void weigh(Step.Weigh step) {
    Tensor x = registers.get(step.in());
    Tensor factors = weights.tables().get(step.numbers());
    registers.define(
        step.out(), x.rows(), x.columns(), y -> ops.convolve(x, factors, pass.sequences(), y));
  }

  private void activate(Step.Xielu step) {
    double positive = softplus(number(step.module(), XIELU.get(0)));
    double beta = number(step.module(), XIELU.get(2));
    double negative = beta + softplus(number(step.module(), XIELU.get(1)));
    Tensor x = registers.get(step.of());
    try (TensorScope local = backend.newScope()) {
      Tensor square = local.rowMajor(x.type(), x.rows(), x.columns());
      Tensor excess = local.rowMajor(x.type(), x.rows(), x.columns());
      ops.activate(Activation.RELU_SQUARED, x, square);
      ops.activate(Activation.ELU_EXCESS, x, excess);
      ops.scale((float) positive, square);
      ops.scale((float) negative, excess);
      ops.scale((float) beta, x);
      ops.add(square, x);
      ops.add(excess, x);
    }
  }

  private double number(String module, String name) {
    return weights.numbers().get(module + "." + name)[0];
  }

  private static double softplus(double x) {
    return Math.log1p(Math.exp(x));
  }

  private void temper(Step.Temper step) {
    Tensor x = registers.get(step.of());
    int length = x.rows() / pass.sequences();
    for (int from = 0; from < length; ) {
      int position = pass.firstPosition() + from + step.first();
      int end = Math.min(length, from + step.run() - position % step.run());
      int runs = position / step.run();
      double factor = 1 + step.factor() * Math.log1p(runs);
      for (int first = 0; first < x.rows() && factor != 1; first += length) {
        ops.scale((float) factor, x.rows(first + from, first + end));
      }
      from = end;
    }
  }

  /**
   * What the recurrence that defines {@code name} keeps of a text so far; zeros at its beginning.
   */
  private Tensor state(String name, DeltaSpec spec, TensorScope local) {
    int rows = pass.sequences() * spec.heads() * spec.keySize();
    return pass.cache()
        .map(cache -> cache.state(name, rows, spec.valueSize()))
        .orElseGet(() -> KeyValueCache.zeros(local, rows, spec.valueSize()));
  }

  private void remember(Step.DeltaRule step) {
    DeltaSpec spec = step.spec();
    Tensor v = registers.get(step.v());
    try (TensorScope local = backend.newScope()) {
      Tensor state = state(step.out(), spec, local);
      Tensor decay = local.rowMajor(DType.F32, v.rows(), spec.heads());
      ops.decay(
          registers.get(step.a()),
          weights.tables().get(spec.shift()),
          weights.tables().get(spec.rate()),
          decay);
      registers.define(
          step.out(),
          v.rows(),
          v.columns(),
          y ->
              ops.deltaRule(
                  registers.get(step.q()),
                  registers.get(step.k()),
                  v,
                  decay,
                  registers.get(step.beta()),
                  state,
                  pass.sequences(),
                  y));
    }
  }

  private void remember(Step.StateSpace step) {
    DeltaSpec spec = step.spec();
    Tensor v = registers.get(step.v());
    try (TensorScope local = backend.newScope()) {
      Tensor state = state(step.out(), spec, local);
      Tensor length = local.rowMajor(DType.F32, v.rows(), spec.heads());
      ops.softplus(
          registers.get(step.dt()),
          weights.tables().get(spec.shift()),
          step.shortest(),
          step.longest(),
          length);
      registers.define(
          step.out(),
          v.rows(),
          v.columns(),
          y ->
              ops.stateSpace(
                  registers.get(step.q()),
                  registers.get(step.k()),
                  v,
                  length,
                  weights.tables().get(spec.rate()),
                  state,
                  pass.sequences(),
                  y));
    }
  }

  private void join(Step.Join step) {
    int size = step.parts().stream().mapToInt(Step.Join.Piece::columns).sum();
    registers.define(
        step.out(),
        registers.get(step.parts().getFirst().name()).rows(),
        size * step.heads(),
        y -> {
          for (int head = 0; head < step.heads(); head++) {
            int to = head * size;
            for (Step.Join.Piece part : step.parts()) {
              int from = head * part.size();
              Tensor x = registers.get(part.name()).columns(from, from + part.columns());
              backend.linalg().convert(x, y.columns(to, to + part.columns()));
              to += part.columns();
            }
          }
        });
  }

  private void look(Step.Lookup step) {
    Tensor tokens =
        pass.tokens()
            .orElseThrow(() -> new IllegalStateException("tokens are known in the opening only"));
    registers.define(
        step.out(),
        tokens.columns(),
        step.columns(),
        y -> ops.embed(weights.tables().get(step.table()), tokens, y));
  }

  private void addPositions(Step.Positions step) {
    Tensor x = registers.get(step.to());
    int[] rows = new int[x.rows()];
    int length = rows.length / pass.sequences();
    Arrays.setAll(rows, t -> pass.firstPosition() + t % length + step.offset());
    try (TensorScope local = backend.newScope()) {
      Tensor added = local.rowMajor(x.type(), x.rows(), x.columns());
      ops.embed(weights.tables().get(step.table()), local.upload(rows), added);
      ops.add(added, x);
    }
  }

  private void rotate(Step.Rope step) {
    Tensor x = registers.get(step.of());
    int end = pass.firstPosition() + x.rows() / pass.sequences();
    int positions = pass.cache().map(KeyValueCache::capacity).orElse(end);
    RopeTable table = ropes.of(step.rope(), positions, end);
    ops.rope(
        x,
        step.headSize(),
        step.rope().pairs(),
        table.cosine(),
        table.sine(),
        pass.firstPosition(),
        pass.sequences());
  }

  private void attend(Step.Attention step) {
    Tensor q = registers.get(step.q());
    Optional<Tensor> sinks = step.sinks().map(name -> weights.tables().get(name));
    registers.define(
        step.out(),
        q.rows(),
        q.columns(),
        y -> {
          if (pass.cache().isPresent() && pass.sequences() > 1) {
            attendSideBySide(step, pass.cache().get(), q, sinks, y);
            return;
          }
          Optional<DType> kept = ops.keptType(step.spec(), sinks.isPresent());
          Tensor k = withHistory(step.k(), kept);
          Tensor v = withHistory(step.v(), kept);
          if (step.chunk() == 0) {
            ops.attention(q, k, v, step.spec(), sinks, pass.sequences(), y);
          } else {
            attendInChunks(step, q, k, v, sinks, y);
          }
        });
  }

  /** Positions that share a chunk are a sequence of their own. */
  private void attendInChunks(
      Step.Attention step, Tensor q, Tensor k, Tensor v, Optional<Tensor> sinks, Tensor y) {
    int queries = q.rows() / pass.sequences();
    int keys = k.rows() / pass.sequences();
    for (int sequence = 0; sequence < pass.sequences(); sequence++) {
      int firstQuery = sequence * queries;
      int firstKey = sequence * keys;
      for (int from = keys - queries; from < keys; ) {
        int start = from / step.chunk() * step.chunk();
        int end = Math.min(start + step.chunk(), keys);
        int row = firstQuery + from - (keys - queries);
        int rowEnd = row + end - from;
        ops.attention(
            q.rows(row, rowEnd),
            k.rows(firstKey + start, firstKey + end),
            v.rows(firstKey + start, firstKey + end),
            step.spec(),
            sinks,
            1,
            y.rows(row, rowEnd));
        from = end;
      }
    }
  }

  /**
   * Sequences that go on by one position each are so many times the heads of one sequence, unless
   * slopes or sinks belong to its heads.
   */
  private void attendSideBySide(
      Step.Attention step, KeyValueCache cache, Tensor q, Optional<Tensor> sinks, Tensor y) {
    int position = pass.firstPosition();
    int from = step.chunk() == 0 ? 0 : position / step.chunk() * step.chunk();
    Tensor keys = cache.appendBeside(step.k(), registers.get(step.k()), position);
    Tensor values = cache.appendBeside(step.v(), registers.get(step.v()), position);
    Tensor k = keys.rows(from, position + 1);
    Tensor v = values.rows(from, position + 1);
    AttentionSpec spec = step.spec();
    boolean alike = spec.alibi() == 0 && sinks.isEmpty();
    int together = alike ? Math.max(1, MOST_HEADS / spec.heads()) : 1;
    int width = k.columns() / q.rows();
    try (TensorScope local = backend.newScope()) {
      // Queries may be columns of something wider.
      Tensor queries = local.rowMajor(q.type(), q.rows(), q.columns());
      backend.linalg().convert(q, queries);
      for (int first = 0; first < q.rows(); first += together) {
        int end = Math.min(q.rows(), first + together);
        int columns = Math.multiplyExact(end - first, q.columns());
        ops.attention(
            queries.rows(first, end).reshaped(1, columns),
            k.columns(first * width, end * width),
            v.columns(first * width, end * width),
            spec.times(end - first),
            sinks,
            1,
            y.rows(first, end).reshaped(1, columns));
      }
    }
  }

  /** The rows of a text so far, which are kept in a type, or else in their own. */
  private Tensor withHistory(String name, Optional<DType> kept) {
    Tensor rows = registers.get(name);
    return pass.cache()
        .map(cache -> cache.append(name, rows, kept.orElse(rows.type()), pass.firstPosition()))
        .orElse(rows);
  }

  private void route(Step.Route step) {
    Routes routes = new Router(backend, weights, step).routes(registers.get(step.in()));
    registers.define(step.router().out(), routes);
  }

  private void gather(Step.Gather step) {
    ExpertRows rows = new ExpertRows(backend, registers.routedRows(step.routes()), step.expert());
    Tensor x = registers.get(step.in());
    registers.define(
        step.out(), rows.count(), x.columns(), y -> rows.gather(x, step.weighted(), y));
  }

  private void scatter(Step.Scatter step) {
    new ExpertRows(backend, registers.routedRows(step.routes()), step.expert())
        .scatter(registers.get(step.what()), step.weighted(), registers.get(step.to()));
  }
}
