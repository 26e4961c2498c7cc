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
 * The derivative of attention, for whole sequences. With the scores {@code S = scale·Q·Kᵀ} of a
 * head and the weights P
 *
 * <pre>
 *   dV = Pᵀ·dY;  dP = dY·Vᵀ;  dS from dP;  dQ = scale·dS·K;  dK = scale·dSᵀ·Q
 * </pre>
 *
 * <p>A head's columns of several sequences are one batch of products; where one sequence is too
 * much, its queries go in turns, so that memory is linear in the length.
 */
final class AttentionGradient {
  /** Scores that are held at a time. */
  static final int SCORES = 1 << 24;

  private final Backend backend;
  private final AttentionSpec spec;
  private final Optional<float[]> sinks;

  /** Heads that share a key. */
  private final int group;

  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final Tensor dy;
  private final Tensor dq;
  private final Tensor dk;
  private final Tensor dv;

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
    this.group = spec.heads() / spec.keyValueHeads();
    this.q = q;
    this.k = k;
    this.v = v;
    this.dy = dy;
    this.dq = scope.rowMajor(q.type(), q.rows(), q.columns());
    // Each is a sum over the queries and over the heads that share it.
    this.dk = scope.zeros(DType.F32, k.rows(), k.columns(), Layout.ROW_MAJOR);
    this.dv = scope.zeros(DType.F32, v.rows(), v.columns(), Layout.ROW_MAJOR);
  }

  /** With respect to the queries. */
  Tensor ofQueries() {
    return dq;
  }

  /** With respect to the keys. */
  Tensor ofKeys(TensorScope scope) {
    return activations(dk, scope);
  }

  /** With respect to the values. */
  Tensor ofValues(TensorScope scope) {
    return activations(dv, scope);
  }

  private Tensor activations(Tensor sums, TensorScope scope) {
    Tensor x = scope.rowMajor(q.type(), sums.rows(), sums.columns());
    backend.linalg().convert(sums, x);
    return x;
  }

  /**
   * So many sequences of a length, of which the first begins at a row.
   *
   * @param most scores that are held at a time
   */
  void run(int first, int sequences, int length, int most) {
    int queries = Math.clamp(most / length, 1, length);
    long room = most / ((long) length * queries);
    int together = queries < length ? 1 : Math.clamp(room, 1, sequences);
    for (int head = 0; head < spec.heads(); head++) {
      for (int s = 0; s < sequences; s += together) {
        int count = Math.min(together, sequences - s);
        for (int at = 0; at < length; at += queries) {
          run(head, first + s * length, count, at, Math.min(length, at + queries));
        }
      }
    }
  }

  /**
   * A head's queries at … end − 1 of each sequence; all of them where there are several.
   *
   * @param first the first row of the sequences
   */
  private void run(int head, int first, int sequences, int at, int end) {
    LinearAlgebra la = backend.linalg();
    float sink = sinks.map(all -> all[head]).orElse(Float.NEGATIVE_INFINITY);
    int seen = ScoreRows.of(spec, head, at, sink).from(0);
    int queries = end - at;
    int keys = end - seen;
    Part own = new Part(head, first + at, sequences * queries);
    Part shared = new Part(head / group, first + seen, sequences * keys);
    Tensor qs = part(q, own);
    Tensor ds = part(dy, own);
    Tensor ks = part(k, shared);
    try (TensorScope local = backend.newScope()) {
      Tensor scores = local.rowMajor(DType.F32, own.rows(), keys);
      Tensor dWeights = local.rowMajor(DType.F32, own.rows(), keys);
      Tensor weights = local.rowMajor(q.type(), own.rows(), keys);
      Tensor dScores = local.rowMajor(q.type(), own.rows(), keys);
      la.gemmBatch(sequences, spec.scale(), qs, ks.transposed(), 0, scores);
      la.gemmBatch(sequences, 1, ds, part(v, shared).transposed(), 0, dWeights);
      ScoreRows rows = ScoreRows.of(spec, head, at - seen, sink);
      backend.gradients().attentionGradient(scores, dWeights, queries, rows, weights, dScores);
      la.gemmBatch(sequences, 1, weights.transposed(), ds, 1, part(dv, shared));
      la.gemmBatch(sequences, spec.scale(), dScores, ks, 0, part(dq, own));
      la.gemmBatch(sequences, spec.scale(), dScores.transposed(), qs, 1, part(dk, shared));
    }
  }

  /** A head's columns of some rows. */
  private record Part(int head, int first, int rows) {}

  private Tensor part(Tensor x, Part part) {
    int size = spec.headSize();
    return x.rows(part.first(), part.first() + part.rows())
        .columns(part.head() * size, (part.head() + 1) * size);
  }
}
