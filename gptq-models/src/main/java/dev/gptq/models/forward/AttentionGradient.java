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
 * <p>Heads lie below each other here, so that several of all sequences are one batch of products;
 * where one of one sequence is too much, its queries go in turns, so that memory is linear in the
 * length.
 */
final class AttentionGradient {
  /** Scores that are held at a time. */
  static final int SCORES = 1 << 24;

  private final Backend backend;
  private final AttentionSpec spec;
  private final Optional<float[]> sinks;

  /** Rows of all sequences. */
  private final int rows;

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
    this.rows = q.rows();
    this.group = spec.heads() / spec.keyValueHeads();
    this.q = heads(q, spec.heads(), scope);
    this.k = heads(k, spec.keyValueHeads(), scope);
    this.v = heads(v, spec.keyValueHeads(), scope);
    this.dy = heads(dy, spec.heads(), scope);
    this.dq = scope.rowMajor(q.type(), this.q.rows(), spec.headSize());
    // Each is a sum over the queries and over the heads that share it.
    this.dk = scope.zeros(DType.F32, this.k.rows(), spec.headSize(), Layout.ROW_MAJOR);
    this.dv = scope.zeros(DType.F32, this.v.rows(), spec.headSize(), Layout.ROW_MAJOR);
  }

  /** With respect to the queries. */
  Tensor ofQueries(TensorScope scope) {
    return features(dq, spec.heads(), scope);
  }

  /** With respect to the keys. */
  Tensor ofKeys(TensorScope scope) {
    return features(dk, spec.keyValueHeads(), scope);
  }

  /** With respect to the values. */
  Tensor ofValues(TensorScope scope) {
    return features(dv, spec.keyValueHeads(), scope);
  }

  /** Heads below each other, which were side by side. */
  private Tensor heads(Tensor x, int count, TensorScope scope) {
    int size = spec.headSize();
    Tensor below = scope.rowMajor(x.type(), count * rows, size);
    for (int head = 0; head < count; head++) {
      int at = place(head, count) * rows;
      Tensor from = x.columns(head * size, (head + 1) * size);
      backend.linalg().convert(from, below.rows(at, at + rows));
    }
    return below;
  }

  /** Heads side by side, which were below each other. */
  private Tensor features(Tensor below, int count, TensorScope scope) {
    int size = spec.headSize();
    Tensor x = scope.rowMajor(q.type(), rows, count * size);
    for (int head = 0; head < count; head++) {
      int at = place(head, count) * rows;
      Tensor to = x.columns(head * size, (head + 1) * size);
      backend.linalg().convert(below.rows(at, at + rows), to);
    }
    return x;
  }

  /** Heads of queries: first one for each head of keys, then another for each, and so on. */
  private int place(int head, int count) {
    return count == spec.keyValueHeads()
        ? head
        : head % group * spec.keyValueHeads() + head / group;
  }

  /**
   * So many sequences of a length, of which the first begins at a row.
   *
   * @param most scores that are held at a time
   */
  void run(int first, int sequences, int length, int most) {
    int queries = Math.clamp(most / length, 1, length);
    boolean whole = sequences * length == rows;
    int heads = whole ? Math.clamp(most / ((long) rows * length), 1, spec.keyValueHeads()) : 1;
    long room = most / ((long) length * queries);
    int together = queries < length ? 1 : Math.clamp(room, 1, sequences);
    for (int member = 0; member < group; member++) {
      for (int head = 0; head < spec.keyValueHeads(); head += heads) {
        int last = Math.min(head + heads, spec.keyValueHeads());
        for (int s = 0; s < sequences; s += together) {
          int count = Math.min(together, sequences - s);
          for (int at = 0; at < length; at += queries) {
            Part part = new Part(member, head, last, first + s * length, count, length);
            run(part, at, Math.min(length, at + queries));
          }
        }
      }
    }
  }

  /**
   * What goes together: some sequences of a head, or all of several.
   *
   * @param member which of the heads that share a key
   * @param from the first head of keys
   * @param to the head after the last
   * @param first the first row
   */
  private record Part(int member, int from, int to, int first, int sequences, int length) {
    int count() {
      return (to - from) * sequences;
    }
  }

  /** The queries at … end − 1 of each sequence; all of them where there are several. */
  private void run(Part part, int at, int end) {
    LinearAlgebra la = backend.linalg();
    int queries = end - at;
    int seen = rowsOf(part, at).from(0);
    int keys = end - seen;
    int own = (part.member() * spec.keyValueHeads() + part.from()) * rows + part.first() + at;
    int shared = part.from() * rows + part.first() + seen;
    int count = part.count();
    int ownEnd = own + count * queries;
    int sharedEnd = shared + count * keys;
    Tensor qs = q.rows(own, ownEnd);
    Tensor ds = dy.rows(own, ownEnd);
    Tensor ks = k.rows(shared, sharedEnd);
    try (TensorScope local = backend.newScope()) {
      Tensor scores = local.rowMajor(DType.F32, count * queries, keys);
      Tensor dWeights = local.rowMajor(DType.F32, count * queries, keys);
      Tensor weights = local.rowMajor(q.type(), count * queries, keys);
      Tensor dScores = local.rowMajor(q.type(), count * queries, keys);
      la.gemmBatch(count, spec.scale(), qs, ks.transposed(), 0, scores);
      la.gemmBatch(count, 1, ds, v.rows(shared, sharedEnd).transposed(), 0, dWeights);
      int each = part.sequences() * queries;
      for (int i = 0; i < part.to() - part.from(); i++) {
        int from = i * each;
        int to = from + each;
        backend
            .gradients()
            .attentionGradient(
                scores.rows(from, to),
                dWeights.rows(from, to),
                queries,
                rowsOf(part, at - seen, part.from() + i),
                weights.rows(from, to),
                dScores.rows(from, to));
      }
      la.gemmBatch(count, 1, weights.transposed(), ds, 1, dv.rows(shared, sharedEnd));
      la.gemmBatch(count, spec.scale(), dScores, ks, 0, dq.rows(own, ownEnd));
      la.gemmBatch(count, spec.scale(), dScores.transposed(), qs, 1, dk.rows(shared, sharedEnd));
    }
  }

  private ScoreRows rowsOf(Part part, int at) {
    return rowsOf(part, at, part.from());
  }

  /** The queries from a position on of the head that reads a head of keys. */
  private ScoreRows rowsOf(Part part, int at, int keyHead) {
    int head = keyHead * group + part.member();
    float sink = sinks.map(all -> all[head]).orElse(Float.NEGATIVE_INFINITY);
    return ScoreRows.of(spec, head, at, sink);
  }
}
