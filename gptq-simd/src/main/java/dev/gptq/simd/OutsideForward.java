package dev.gptq.simd;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.simd.kernels.ForwardKernels;
import dev.gptq.simd.kernels.ForwardKernels.Gate;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * The forward pass by kernels outside of Java, where there are some. A method returns whether they
 * did it: they know float32 with contiguous rows, and what most models need.
 */
final class OutsideForward {
  // From here on the blocked product in Java reads dense weights less often.
  private static final int MANY_ROWS = 8;

  // Weights of a task: enough to pay for handing it out.
  private static final int GRAIN = 1 << 15;

  private final Execution execution;
  private final Optional<ForwardKernels> kernels;
  private final boolean rounded;

  /**
   * A forward pass.
   *
   * @param rounded whether keys and values of a text that is continued are kept in bfloat16
   */
  OutsideForward(Execution execution, Optional<ForwardKernels> kernels, boolean rounded) {
    this.execution = execution;
    this.kernels = kernels;
    this.rounded = rounded;
  }

  /** {@link Normalization#rms}. */
  boolean rmsNorm(Matrix x, Matrix gain, float epsilon, Matrix y, int from, int to) {
    if (!serves(x, gain, y)) {
      return false;
    }
    kernels
        .get()
        .rmsNorm(
            rows(x, from),
            rows(gain, 0),
            gain.columns(),
            epsilon,
            rows(y, from),
            new Shape(to - from, x.columns()));
    return true;
  }

  /** {@link Rope#rotate} of all rows, in sequences of so many. */
  boolean rotate(
      Matrix x, int headSize, RopePairs pairs, Matrix cosine, Matrix sine, int first, int length) {
    if (!serves(x, cosine, sine)) {
      return false;
    }
    int step = Math.clamp(GRAIN / Math.max(1, x.columns()), 1, length);
    int parts = (length + step - 1) / step;
    execution
        .pool()
        .forEach(
            x.rows() / length * parts,
            (i, worker) -> {
              int from = i % parts * step;
              int count = Math.min(step, length - from);
              kernels
                  .get()
                  .rotate(
                      rows(x, i / parts * length + from),
                      headSize,
                      pairs == RopePairs.ADJACENT,
                      rows(cosine, 0),
                      rows(sine, 0),
                      cosine.columns(),
                      first + from,
                      count,
                      new Shape(count, x.columns()));
            });
    return true;
  }

  /** {@link Functions#gate}. */
  boolean gate(Activation f, Matrix gate, Matrix up, Matrix y, int from, int to) {
    if ((f != Activation.SILU && f != Activation.GELU_TANH) || !serves(gate, up, y)) {
      return false;
    }
    kernels
        .get()
        .gate(
            f == Activation.SILU ? Gate.SILU : Gate.GELU_TANH,
            rows(gate, from),
            rows(up, from),
            rows(y, from),
            new Shape(to - from, gate.columns()));
    return true;
  }

  /** {@code y ← y + x}. */
  boolean add(Matrix x, Matrix y, int from, int to) {
    if (!serves(x, y, y)) {
      return false;
    }
    kernels.get().add(rows(x, from), rows(y, from), new Shape(to - from, x.columns()));
    return true;
  }

  /** {@code dst ← src} from float32 to bfloat16. */
  boolean narrow(Matrix src, Matrix dst) {
    if (kernels.isEmpty()
        || !Gemv.isDense(src)
        || dst.type() != DType.BF16
        || !dst.rowsContiguous()) {
      return false;
    }
    execution.forRanges(
        src.rows(),
        Math.max(1, GRAIN / Math.max(1, src.columns())),
        (from, to) ->
            kernels
                .get()
                .narrow(rows(src, from), rows(dst, from), new Shape(to - from, src.columns())));
    return true;
  }

  /** {@code dst ← src} in float32, of which one has contiguous rows and the other columns. */
  boolean transpose(Matrix src, Matrix dst) {
    Matrix from = src.rowsContiguous() ? src : src.transposed();
    Matrix to = src.rowsContiguous() ? dst.transposed() : dst;
    if (kernels.isEmpty()
        || !Gemv.isDense(from)
        || !Gemv.isDense(to)
        || src.rowsContiguous() == dst.rowsContiguous()) {
      return false;
    }
    int step = Math.max(16, GRAIN / Math.max(1, from.columns()) / 16 * 16);
    execution.forRanges(
        from.rows(),
        step,
        (r0, r1) ->
            kernels
                .get()
                .transpose(
                    rows(from, r0),
                    rows(to.columns(r0, r1), 0),
                    new Shape(r1 - r0, from.columns())));
    return true;
  }

  /** {@code C ← α·A·Bᵀ} for few rows of A. */
  boolean products(float alpha, Matrix a, Matrix bt, float beta, Matrix c) {
    if (a.rows() >= MANY_ROWS || beta != 0 || !serves(a, bt, c)) {
      return false;
    }
    int step = Math.max(4, GRAIN / Math.max(1, bt.columns()) / 4 * 4);
    execution.forRanges(
        bt.rows(),
        step,
        (from, to) ->
            kernels
                .get()
                .products(
                    alpha,
                    rows(a, 0),
                    rows(bt, from),
                    a.columns(),
                    rows(c.columns(from, to), 0),
                    new Shape(a.rows(), to - from)));
    return true;
  }

  /**
   * The type in which {@link #attention} reads keys and values fastest: half of the bytes, which
   * are what a long text costs.
   */
  Optional<DType> keptType(AttentionSpec spec, boolean sinks) {
    return rounded && serves(spec, sinks) ? Optional.of(DType.BF16) : Optional.empty();
  }

  /** Whether attention is without what few models ask of it. */
  private boolean serves(AttentionSpec spec, boolean sinks) {
    return kernels.isPresent()
        && spec.softCap() == 0
        && spec.alibi() == 0
        && !sinks
        && spec.headSize() <= ForwardKernels.CHANNELS
        && spec.heads() / spec.keyValueHeads() <= ForwardKernels.QUERIES;
  }

  /** {@link Attention}, to keys and values in float32 or bfloat16. */
  boolean attention(
      Matrix q,
      Matrix k,
      Matrix v,
      AttentionSpec spec,
      Optional<float[]> sinks,
      int sequences,
      Matrix y) {
    if (!serves(spec, sinks.isPresent()) || !Gemv.isDense(q) || !Gemv.isDense(y)) {
      return false;
    }
    int share = spec.heads() / spec.keyValueHeads();
    int queries = q.rows() / sequences;
    int keys = k.rows() / sequences;
    int size = spec.headSize();
    if (queries == 1) {
      attendAtOnePosition(q, k, v, spec, sequences, y);
      return true;
    }
    int rows = Math.min(queries, ForwardKernels.QUERIES);
    int blocks = (queries + rows - 1) / rows;
    int tasks = sequences * spec.heads();
    execution
        .pool()
        .forEach(
            blocks * tasks,
            (i, worker) -> {
              // The last queries see the most keys: first come, best balanced.
              int from = (blocks - 1 - i / tasks) * rows;
              int sequence = i % tasks / spec.heads();
              int head = i % spec.heads();
              int row = sequence * queries + from;
              int key = sequence * keys;
              int shared = head / share * size;
              kernels
                  .get()
                  .attention(
                      k.type(),
                      1,
                      new Rows(at(q, row, head * size), q.rowStride()),
                      new Rows(at(k, key, shared), k.rowStride()),
                      new Rows(at(v, key, shared), v.rowStride()),
                      spec.scale(),
                      keys - queries + from,
                      1,
                      spec.window(),
                      new Rows(at(y, row, head * size), y.rowStride()),
                      new Shape(Math.min(rows, queries - from), size));
            });
    return true;
  }

  /**
   * One query of each sequence: heads that share keys are rows of a head of keys, and a worker
   * takes as many of these in one call as there are for it, since they lie side by side.
   */
  private void attendAtOnePosition(
      Matrix q, Matrix k, Matrix v, AttentionSpec spec, int sequences, Matrix y) {
    int size = spec.headSize();
    int share = spec.heads() / spec.keyValueHeads();
    int keys = k.rows() / sequences;
    int workers = execution.pool().workers();
    int step =
        Math.clamp(
            (spec.keyValueHeads() + workers - 1) / workers, 1, ForwardKernels.QUERIES / share);
    int parts = (spec.keyValueHeads() + step - 1) / step;
    execution
        .pool()
        .forEach(
            sequences * parts,
            (i, worker) -> {
              int sequence = i / parts;
              int head = i % parts * step;
              int column = head * share * size;
              kernels
                  .get()
                  .attention(
                      k.type(),
                      Math.min(step, spec.keyValueHeads() - head),
                      new Rows(at(q, sequence, column), size),
                      new Rows(at(k, sequence * keys, head * size), k.rowStride()),
                      new Rows(at(v, sequence * keys, head * size), v.rowStride()),
                      spec.scale(),
                      keys - 1,
                      0,
                      spec.window(),
                      new Rows(at(y, sequence, column), size),
                      new Shape(share, size));
            });
  }

  private boolean serves(Matrix a, Matrix b, Matrix c) {
    return kernels.isPresent() && Gemv.isDense(a) && Gemv.isDense(b) && Gemv.isDense(c);
  }

  private static Rows rows(Matrix m, int from) {
    return new Rows(at(m, from, 0), m.rowStride());
  }

  /** Memory from an element on. */
  private static MemorySegment at(Matrix m, int row, int column) {
    return m.segment().asSlice(m.index(row, column) * m.type().bytes());
  }
}
