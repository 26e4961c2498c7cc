package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/** Checks arguments, then delegates. */
record CheckedTransformerOps(TransformerOps delegate, DType activation) implements TransformerOps {

  @Override
  public void embed(Tensor table, Tensor tokens, Tensor x) {
    Shapes shapes = Shapes.of("embed").index("tokens", tokens, x.rows());
    activations(shapes, "table", table);
    activations(shapes, "x", x).shape("x", x, x.rows(), table.columns());
    delegate.embed(table, tokens, x);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y) {
    Shapes shapes = sameShape(Shapes.of("rmsNorm"), x, y);
    shapes
        .row("gain", gain, activation, gain.columns())
        .that(x.columns() % gain.columns() == 0, "gain's columns must divide x's");
    delegate.rmsNorm(x, gain, epsilon, y);
  }

  @Override
  public void layerNorm(Tensor x, Tensor gain, Tensor bias, float epsilon, Tensor y) {
    sameShape(Shapes.of("layerNorm"), x, y)
        .row("gain", gain, activation, x.columns())
        .row("bias", bias, activation, x.columns());
    delegate.layerNorm(x, gain, bias, epsilon, y);
  }

  @Override
  public void rope(
      Tensor x,
      int headSize,
      RopePairs pairs,
      Tensor cosine,
      Tensor sine,
      int firstPosition,
      int sequences) {
    Shapes shapes = activations(Shapes.of("rope"), "x", x);
    sequences(shapes, x, sequences)
        .that(x.columns() % headSize == 0, "headSize must divide the columns of x")
        .that(2 * cosine.columns() <= headSize, "more rotated channels than headSize")
        .type("cosine", cosine, DType.F32)
        .type("sine", sine, DType.F32)
        .shape("sine", sine, cosine.rows(), cosine.columns())
        .that(
            firstPosition >= 0 && firstPosition + x.rows() / sequences <= cosine.rows(),
            () -> "positions " + firstPosition + " on exceed the table of " + cosine.rows());
    delegate.rope(x, headSize, pairs, cosine, sine, firstPosition, sequences);
  }

  @Override
  public void attention(
      Tensor q,
      Tensor k,
      Tensor v,
      AttentionSpec spec,
      Optional<Tensor> sinks,
      int sequences,
      Tensor y) {
    Shapes shapes = activations(Shapes.of("attention"), "q", q);
    DType kept = keptType(spec, sinks.isPresent()).filter(k.type()::equals).orElse(activation);
    shapes.type("k", k, kept).rowMajor("k", k).type("v", v, kept).rowMajor("v", v);
    activations(shapes, "y", y);
    sequences(shapes, q, sequences);
    sequences(shapes, k, sequences)
        .shape("q", q, q.rows(), spec.heads() * spec.headSize())
        .shape("k", k, k.rows(), spec.keyValueHeads() * spec.headSize())
        .shape("v", v, k.rows(), k.columns())
        .shape("y", y, q.rows(), q.columns())
        .that(q.rows() <= k.rows(), "there are more queries than keys");
    sinks.ifPresent(s -> shapes.row("sinks", s, DType.F32, spec.heads()));
    delegate.attention(q, k, v, spec, sinks, sequences, y);
  }

  @Override
  public Optional<DType> keptType(AttentionSpec spec, boolean sinks) {
    return delegate.keptType(spec, sinks);
  }

  @Override
  public void convolve(Tensor x, Tensor weight, int sequences, Tensor y) {
    Shapes shapes = activations(Shapes.of("convolve"), "x", x);
    activations(shapes, "weight", weight);
    activations(shapes, "y", y);
    sequences(shapes, x, sequences);
    sequences(shapes, y, sequences)
        .shape("weight", weight, weight.rows(), x.columns())
        .shape("y", y, y.rows(), x.columns())
        .that(y.rows() <= x.rows(), "there are more results than inputs");
    delegate.convolve(x, weight, sequences, y);
  }

  @Override
  public void decay(Tensor x, Tensor shift, Tensor rate, Tensor y) {
    activations(Shapes.of("decay"), "x", x)
        .row("shift", shift, DType.F32, x.columns())
        .row("rate", rate, DType.F32, x.columns())
        .type("y", y, DType.F32)
        .rowMajor("y", y)
        .shape("y", y, x.rows(), x.columns());
    delegate.decay(x, shift, rate, y);
  }

  @Override
  public void deltaRule(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor decay,
      Tensor beta,
      Tensor state,
      int sequences,
      Tensor y) {
    Shapes shapes = activations(Shapes.of("deltaRule"), "q", q);
    activations(shapes, "k", k);
    activations(shapes, "v", v);
    activations(shapes, "beta", beta);
    activations(shapes, "y", y);
    int heads = decay.columns();
    sequences(shapes, q, sequences)
        .shape("k", k, q.rows(), q.columns())
        .shape("v", v, q.rows(), heads * state.columns())
        .shape("decay", decay, q.rows(), heads)
        .shape("beta", beta, q.rows(), heads)
        .shape("y", y, v.rows(), v.columns())
        .type("decay", decay, DType.F32)
        .rowMajor("decay", decay);
    states(shapes, q, state, sequences, heads);
    delegate.deltaRule(q, k, v, decay, beta, state, sequences, y);
  }

  @Override
  public void softplus(Tensor x, Tensor shift, float low, float high, Tensor y) {
    activations(Shapes.of("softplus"), "x", x)
        .row("shift", shift, DType.F32, x.columns())
        .that(low <= high, "the lower bound " + low + " exceeds the upper one " + high)
        .type("y", y, DType.F32)
        .rowMajor("y", y)
        .shape("y", y, x.rows(), x.columns());
    delegate.softplus(x, shift, low, high, y);
  }

  @Override
  public void stateSpace(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor step,
      Tensor rate,
      Tensor state,
      int sequences,
      Tensor y) {
    Shapes shapes = activations(Shapes.of("stateSpace"), "q", q);
    activations(shapes, "k", k);
    activations(shapes, "v", v);
    activations(shapes, "y", y);
    int heads = step.columns();
    sequences(shapes, q, sequences)
        .shape("k", k, q.rows(), q.columns())
        .shape("v", v, q.rows(), heads * state.columns())
        .type("step", step, DType.F32)
        .rowMajor("step", step)
        .shape("step", step, q.rows(), heads)
        .row("rate", rate, DType.F32, heads)
        .shape("y", y, v.rows(), v.columns());
    states(shapes, q, state, sequences, heads);
    delegate.stateSpace(q, k, v, step, rate, state, sequences, y);
  }

  @Override
  public void activate(Activation f, Tensor x, Tensor y) {
    sameShape(Shapes.of("activate"), x, y);
    delegate.activate(f, x, y);
  }

  @Override
  public void gate(Activation f, Tensor gate, Tensor up, Tensor y) {
    Shapes shapes = sameShape(Shapes.of("gate"), gate, y);
    activations(shapes, "up", up).shape("up", up, gate.rows(), gate.columns());
    delegate.gate(f, gate, up, y);
  }

  @Override
  public void add(Tensor x, Tensor y) {
    sameShape(Shapes.of("add"), x, y);
    delegate.add(x, y);
  }

  @Override
  public void addBias(Tensor bias, Tensor y) {
    activations(Shapes.of("addBias"), "y", y).row("bias", bias, activation, y.columns());
    delegate.addBias(bias, y);
  }

  @Override
  public void scale(float factor, Tensor x) {
    activations(Shapes.of("scale"), "x", x);
    delegate.scale(factor, x);
  }

  @Override
  public void clamp(float low, float high, Tensor x) {
    activations(Shapes.of("clamp"), "x", x)
        .that(low <= high, "the lower bound " + low + " exceeds the upper one " + high);
    delegate.clamp(low, high, x);
  }

  @Override
  public void softCap(float cap, Tensor x) {
    Shapes.of("softCap").real("x", x).rowMajor("x", x);
    delegate.softCap(cap, x);
  }

  @Override
  public void gatherRows(Tensor x, Tensor index, Tensor y) {
    Shapes shapes = activations(Shapes.of("gatherRows"), "x", x);
    activations(shapes, "y", y)
        .shape("y", y, y.rows(), x.columns())
        .index("index", index, y.rows());
    delegate.gatherRows(x, index, y);
  }

  @Override
  public void scatterAddRows(Tensor x, Tensor index, Tensor weight, Tensor y) {
    Shapes shapes = activations(Shapes.of("scatterAddRows"), "x", x);
    activations(shapes, "y", y)
        .shape("y", y, y.rows(), x.columns())
        .index("index", index, x.rows())
        .row("weight", weight, DType.F32, x.rows());
    delegate.scatterAddRows(x, index, weight, y);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor targets, Tensor loss) {
    Shapes.of("crossEntropy")
        .that(
            logits.type() == DType.F32 || logits.type() == activation,
            "logits must be F32 or " + activation)
        .rowMajor("logits", logits)
        .index("targets", targets, logits.rows())
        .row("loss", loss, DType.F32, logits.rows());
    delegate.crossEntropy(logits, targets, loss);
  }

  @Override
  public void divergence(Tensor logits, Tensor base, Tensor targets, Tensor found) {
    Shapes.of("divergence")
        .type("logits", logits, DType.F32)
        .rowMajor("logits", logits)
        .type("base", base, DType.F32)
        .rowMajor("base", base)
        .shape("base", base, logits.rows(), logits.columns())
        .index("targets", targets, logits.rows())
        .type("found", found, DType.F32)
        .rowMajor("found", found)
        .shape("found", found, 4, logits.rows());
    delegate.divergence(logits, base, targets, found);
  }

  private static void states(Shapes shapes, Tensor q, Tensor state, int sequences, int heads) {
    shapes
        .type("state", state, DType.F32)
        .rowMajor("state", state)
        .that(
            state.rows() % (sequences * heads) == 0,
            "the states of " + sequences * heads + " heads do not divide the rows of state");
    int keySize = state.rows() / (sequences * heads);
    shapes.that(
        q.columns() % keySize == 0 && heads % (q.columns() / keySize) == 0,
        heads + " heads cannot share queries of " + q.columns() + " columns evenly");
  }

  private Shapes activations(Shapes shapes, String name, Tensor t) {
    return shapes.type(name, t, activation).rowMajor(name, t);
  }

  private Shapes sameShape(Shapes shapes, Tensor x, Tensor y) {
    activations(shapes, "x", x);
    return activations(shapes, "y", y).shape("y", y, x.rows(), x.columns());
  }

  private static Shapes sequences(Shapes shapes, Tensor x, int sequences) {
    return shapes.that(
        sequences > 0 && x.rows() % sequences == 0,
        () -> sequences + " sequences do not divide " + x.rows() + " rows");
  }
}
