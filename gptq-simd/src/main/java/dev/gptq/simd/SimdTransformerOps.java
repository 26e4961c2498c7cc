package dev.gptq.simd;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** The forward pass in float32, rows shared among the workers. */
final class SimdTransformerOps implements TransformerOps {
  // Elements of a task: enough to pay for handing it out.
  private static final int GRAIN = 1 << 14;

  private final Execution execution;
  private final OutsideForward outside;

  SimdTransformerOps(Execution execution, OutsideForward outside) {
    this.execution = execution;
    this.outside = outside;
  }

  @Override
  public void embed(Tensor table, Tensor tokens, Tensor x) {
    gatherRows(table, tokens, x);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix g = Activations.rows("gain", gain);
    Matrix ym = Activations.rows("y", y);
    forRows(
        xm,
        (from, to) -> {
          if (!outside.rmsNorm(xm, g, epsilon, ym, from, to)) {
            Normalization.rms(xm, g, epsilon, ym, from, to);
          }
        });
  }

  @Override
  public void layerNorm(Tensor x, Tensor gain, Tensor bias, float epsilon, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix g = Activations.rows("gain", gain);
    Matrix b = Activations.rows("bias", bias);
    Matrix ym = Activations.rows("y", y);
    forRows(xm, (from, to) -> Normalization.layer(xm, g, b, epsilon, ym, from, to));
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
    Matrix xm = Activations.rows("x", x);
    Matrix cos = Activations.rows("cosine", cosine);
    Matrix sin = Activations.rows("sine", sine);
    int length = xm.rows() / sequences;
    if (outside.rotate(xm, headSize, pairs, cos, sin, firstPosition, length)) {
      return;
    }
    forRows(
        xm,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            Rope.rotate(xm, t, headSize, pairs, cos, sin, firstPosition + t % length);
          }
        });
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
    Matrix qm = Activations.rows("q", q);
    Matrix km = Activations.rows("k", k);
    Matrix vm = Activations.rows("v", v);
    Matrix ym = Activations.rows("y", y);
    Optional<float[]> own = sinks.map(Activations::vector);
    if (!outside.attention(qm, km, vm, spec, own, sequences, ym)) {
      Attention.run(execution, qm, km, vm, spec, own, sequences, ym);
    }
  }

  @Override
  public Optional<DType> keptType(AttentionSpec spec, boolean sinks) {
    return outside.keptType(spec, sinks);
  }

  @Override
  public void convolve(Tensor x, Tensor weight, int sequences, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix w = Activations.rows("weight", weight);
    Matrix ym = Activations.rows("y", y);
    forRows(ym, (from, to) -> Convolution.run(xm, w, sequences, ym, from, to));
  }

  @Override
  public void decay(Tensor x, Tensor shift, Tensor rate, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix shifts = Activations.rows("shift", shift);
    Matrix rates = Activations.rows("rate", rate);
    Matrix ym = Activations.rows("y", y);
    forRows(ym, (from, to) -> Convolution.decay(xm, shifts, rates, ym, from, to));
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
    DeltaRule.run(
        execution,
        Activations.rows("q", q),
        Activations.rows("k", k),
        Activations.rows("v", v),
        Activations.rows("decay", decay),
        Activations.rows("beta", beta),
        Activations.rows("state", state),
        sequences,
        Activations.rows("y", y));
  }

  @Override
  public void softplus(Tensor x, Tensor shift, float low, float high, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix shifts = Activations.rows("shift", shift);
    Matrix ym = Activations.rows("y", y);
    forRows(ym, (from, to) -> Convolution.softplus(xm, shifts, low, high, ym, from, to));
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
    StateSpace.run(
        execution,
        Activations.rows("q", q),
        Activations.rows("k", k),
        Activations.rows("v", v),
        Activations.rows("step", step),
        Activations.vector(rate),
        Activations.rows("state", state),
        sequences,
        Activations.rows("y", y));
  }

  @Override
  public void activate(Activation f, Tensor x, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix ym = Activations.rows("y", y);
    forRows(xm, (from, to) -> Functions.activate(f, xm, ym, from, to));
  }

  @Override
  public void gate(Activation f, Tensor gate, Tensor up, Tensor y) {
    Matrix g = Activations.rows("gate", gate);
    Matrix u = Activations.rows("up", up);
    Matrix ym = Activations.rows("y", y);
    forRows(
        g,
        (from, to) -> {
          if (!outside.gate(f, g, u, ym, from, to)) {
            Functions.gate(f, g, u, ym, from, to);
          }
        });
  }

  @Override
  public void add(Tensor x, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix ym = Activations.rows("y", y);
    forRows(
        xm,
        (from, to) -> {
          if (!outside.add(xm, ym, from, to)) {
            Elementwise.axpy(1, xm, ym, from, to);
          }
        });
  }

  @Override
  public void addBias(Tensor bias, Tensor y) {
    Matrix b = Activations.rows("bias", bias);
    Matrix ym = Activations.rows("y", y);
    // The same row for every token: a matrix whose rows do not advance.
    Matrix repeated =
        new Matrix(
            b.segment(), b.type(), b.offset(), 0, 1, ym.rows(), b.columns(), Matrix.Triangle.FULL);
    forRows(ym, (from, to) -> Elementwise.axpy(1, repeated, ym, from, to));
  }

  @Override
  public void scale(float factor, Tensor x) {
    Matrix xm = Activations.rows("x", x);
    if (factor == 1) {
      return;
    }
    forRows(xm, (from, to) -> Elementwise.scale(factor, xm, from, to));
  }

  @Override
  public void clamp(float low, float high, Tensor x) {
    Matrix xm = Activations.rows("x", x);
    forRows(xm, (from, to) -> Elementwise.clamp(low, high, xm, from, to));
  }

  @Override
  public void softCap(float cap, Tensor x) {
    Matrix xm = Activations.rows("x", x);
    forRows(xm, (from, to) -> Functions.softCap(cap, xm, from, to));
  }

  @Override
  public void gatherRows(Tensor x, Tensor index, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix ym = Activations.rows("y", y);
    int[] source = Indices.of(index);
    int bytes = xm.type().bytes();
    forRows(
        ym,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            MemorySegment.copy(
                xm.segment(),
                xm.index(source[t], 0) * bytes,
                ym.segment(),
                ym.index(t, 0) * bytes,
                (long) xm.columns() * bytes);
          }
        });
  }

  @Override
  public void scatterAddRows(Tensor x, Tensor index, Tensor weight, Tensor y) {
    Matrix xm = Activations.rows("x", x);
    Matrix ym = Activations.rows("y", y);
    int[] target = Indices.of(index);
    float[] weights = Activations.vector(weight);
    forRows(
        xm,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            Matrix row = ym.block(target[t], target[t] + 1, 0, ym.columns());
            Elementwise.axpy(weights[t], xm.block(t, t + 1, 0, xm.columns()), row, 0, 1);
          }
        });
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor targets, Tensor loss) {
    Matrix l = Activations.rows("logits", logits);
    Matrix out = Matrix.of(loss);
    int[] target = Indices.of(targets);
    forRows(
        l,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            long row = l.at(t, 0);
            float max = Softmax.max(l.segment(), row, l.columns());
            double sum = Softmax.sumExp(l.segment(), row, l.columns(), max);
            float own = l.segment().get(Lanes.FLOAT, l.at(t, target[t]));
            out.segment().set(Lanes.FLOAT, out.at(0, t), (float) (Math.log(sum) + max - own));
          }
        });
  }

  @Override
  public void divergence(Tensor logits, Tensor base, Tensor targets, Tensor found) {
    Matrix l = Activations.rows("logits", logits);
    Matrix b = Activations.rows("base", base);
    Matrix out = Activations.rows("found", found);
    int[] target = Indices.of(targets);
    forRows(
        l,
        (from, to) -> {
          for (int t = from; t < to; t++) {
            DivergenceRow.run(l, b, target[t], out, t);
          }
        });
  }

  private void forRows(Matrix m, Execution.Range body) {
    int step = Math.max(1, GRAIN / Math.max(1, m.columns()));
    execution.forRanges(m.rows(), step, body);
  }
}
