package dev.gptq.models.forward;

import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.ScoreRows;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * The derivative of attention, for whole sequences: head by head and by blocks of queries, so that
 * memory is linear in the length. With the scores {@code S = scale·Q·Kᵀ} and the weights P
 *
 * <pre>
 *   dV = Pᵀ·dY;  dP = dY·Vᵀ;  dS from dP;  dQ = scale·dS·K;  dK = scale·dSᵀ·Q
 * </pre>
 */
final class AttentionGradient {
  /** Scores that are held at a time. */
  private static final int SCORES = 1 << 22;

  private final Backend backend;
  private final AttentionSpec spec;
  private final Optional<float[]> sinks;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final Tensor dy;
  private final Tensor dq;
  private final Tensor dk;
  private final Tensor dv;
  private final Tensor keys;
  private final Tensor values;

  /** Gradients are zero at first and live in {@code scope}. */
  AttentionGradient(
      Backend backend,
      AttentionSpec spec,
      Optional<Tensor> sinks,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor dy,
      TensorScope scope) {
    this.backend = backend;
    this.spec = spec;
    this.sinks = sinks.map(HostCopies::floats);
    this.q = q;
    this.k = k;
    this.v = v;
    this.dy = dy;
    this.dq = scope.rowMajor(q.type(), q.rows(), q.columns());
    // Each is a sum over the queries and over the heads that share it.
    this.dk = scope.zeros(DType.F32, k.rows(), k.columns(), Layout.ROW_MAJOR);
    this.dv = scope.zeros(DType.F32, v.rows(), v.columns(), Layout.ROW_MAJOR);
    this.keys = scope.rowMajor(k.type(), k.rows(), k.columns());
    this.values = scope.rowMajor(v.type(), v.rows(), v.columns());
  }

  /** With respect to the queries. */
  Tensor ofQueries() {
    return dq;
  }

  /** With respect to the keys. */
  Tensor ofKeys() {
    backend.linalg().convert(dk, keys);
    return keys;
  }

  /** With respect to the values. */
  Tensor ofValues() {
    backend.linalg().convert(dv, values);
    return values;
  }

  /** The sequence of the rows from … to − 1. */
  void run(int from, int to) {
    int block = Math.clamp(SCORES / (to - from), 1, to - from);
    for (int head = 0; head < spec.heads(); head++) {
      for (int at = from; at < to; at += block) {
        run(from, at, Math.min(to, at + block), head);
      }
    }
  }

  /** The queries at … end − 1 of one head of the sequence that begins at a row. */
  private void run(int sequence, int at, int end, int head) {
    LinearAlgebra la = backend.linalg();
    ScoreRows visible =
        ScoreRows.of(
            spec, head, at - sequence, sinks.map(all -> all[head]).orElse(Float.NEGATIVE_INFINITY));
    int first = sequence + visible.from(0);
    ScoreRows rows = ScoreRows.of(spec, head, at - first, visible.sink());
    int size = spec.headSize();
    int own = head * size;
    int shared = head / (spec.heads() / spec.keyValueHeads()) * size;
    Tensor qs = q.rows(at, end).columns(own, own + size);
    Tensor ks = k.rows(first, end).columns(shared, shared + size);
    Tensor vs = v.rows(first, end).columns(shared, shared + size);
    Tensor ds = dy.rows(at, end).columns(own, own + size);
    int queries = end - at;
    int count = end - first;
    try (TensorScope local = backend.newScope()) {
      Tensor scores = local.rowMajor(DType.F32, queries, count);
      Tensor dWeights = local.rowMajor(DType.F32, queries, count);
      Tensor weights = local.rowMajor(q.type(), queries, count);
      Tensor dScores = local.rowMajor(q.type(), queries, count);
      la.gemm(spec.scale(), qs, ks.transposed(), 0, scores);
      la.gemm(1, ds, vs.transposed(), 0, dWeights);
      backend.gradients().attentionGradient(scores, dWeights, rows, weights, dScores);
      la.gemm(1, weights.transposed(), ds, 1, dv.rows(first, end).columns(shared, shared + size));
      la.gemm(spec.scale(), dScores, ks, 0, dq.rows(at, end).columns(own, own + size));
      la.gemm(
          spec.scale(),
          dScores.transposed(),
          qs,
          1,
          dk.rows(first, end).columns(shared, shared + size));
    }
  }
}
