package dev.gptq.simd;

import dev.gptq.backend.AttentionSpec;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import jdk.incubator.vector.FloatVector;

/**
 * Causal attention of the last position of each sequence, as text is generated. Keys and values are
 * read once, in the order in which they lie: a task takes some of them for all heads,
 *
 * <pre>
 *   s_j = scale·q·k_j;  m = max s_j;  l = Σ e^(s_j − m);  o = Σ e^(s_j − m)·v_j
 * </pre>
 *
 * and the caller puts the parts of each head together, {@code y = Σ e^(m − M)·o / Σ e^(m − M)·l}
 * with M the largest m. Loops run down the keys, as rows of a head are too short to loop along.
 */
final class RowAttention {
  private static final int W = Lanes.COUNT;
  private static final long L = Lanes.BYTES;

  /** Keys of a task: enough to pay for handing it out. */
  private static final int KEYS = 64;

  private final Matrix q;
  private final Matrix k;
  private final Matrix v;
  private final Matrix y;
  private final AttentionSpec spec;
  private final Optional<float[]> sinks;
  private final int keys;
  private final int size;
  private final int first;
  private final int parts;

  // For each part, one after the other: o of all heads, then m and l of each.
  private final Matrix partial;
  private final MemorySegment[] scratch;

  private RowAttention(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      AttentionSpec spec,
      Optional<float[]> sinks,
      Matrix y) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.y = y;
    this.spec = spec;
    this.sinks = sinks;
    this.keys = k.rows() / q.rows();
    this.size = spec.headSize();
    this.first = spec.window() > 0 ? Math.max(0, keys - spec.window()) : 0;
    this.parts = (keys - first + KEYS - 1) / KEYS;
    int workers = execution.pool().workers();
    Workspace workspace = execution.workspace();
    int rows = q.rows() * parts;
    int columns = spec.heads() * (size + 2);
    MemorySegment results = workspace.get(Workspace.Use.RESULT, 1, 4L * rows * columns)[0];
    this.partial = Matrix.rowMajor(results, rows, columns);
    this.scratch = workspace.get(Workspace.Use.ATTENTION, workers, (L + Float.BYTES) * KEYS);
  }

  /** Whether this is attention for this class: one query a sequence, float32. */
  static boolean serves(Matrix q, Matrix k, Matrix v, int sequences, Matrix y) {
    return q.rows() == sequences
        && Gemv.isDense(q)
        && Gemv.isDense(k)
        && Gemv.isDense(v)
        && Gemv.isDense(y);
  }

  /** Runs; every row of q is the last position of a sequence of its own. */
  static void run(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      AttentionSpec spec,
      Optional<float[]> sinks,
      Matrix y) {
    RowAttention attention = new RowAttention(execution, q, k, v, spec, sinks, y);
    execution.pool().forEach(attention.partial.rows(), attention::part);
    for (int sequence = 0; sequence < q.rows(); sequence++) {
      for (int head = 0; head < spec.heads(); head++) {
        attention.merge(sequence, head);
      }
    }
  }

  private void part(int part, int worker) {
    int sequence = part / parts;
    int from = first + part % parts * KEYS;
    int count = Math.min(KEYS, keys - from);
    long row = (long) sequence * keys + from;
    int share = spec.heads() / spec.keyValueHeads();
    MemorySegment segment = scratch[worker];
    long scores = L * KEYS;
    for (int head = 0; head < spec.heads(); head++) {
      int column = head / share * size;
      products(q.at(sequence, (long) head * size), k.at(row, column), count, segment);
      if (spec.softCap() > 0) {
        Matrix capped = Matrix.rowMajor(segment.asSlice(scores), 1, count);
        Functions.softCap(spec.softCap(), capped, 0, 1);
      }
      if (spec.alibi() != 0) {
        addAlibi(spec.alibiSlope(head), from + 1 - keys, count, segment);
      }
      float most = Softmax.max(segment, scores, count);
      float total = (float) Softmax.expInPlace(segment, scores, count, most);
      weigh(segment, v.at(row, column), count, partial.at(part, (long) head * size));
      long at = partial.at(part, (long) spec.heads() * size + 2L * head);
      partial.segment().set(Lanes.FLOAT, at, most);
      partial.segment().set(Lanes.FLOAT, at + Float.BYTES, total);
    }
  }

  /**
   * Stores the scaled products of a query with {@code count} keys behind the sums of their lanes.
   */
  private void products(long query, long key, int count, MemorySegment sums) {
    sums.asSlice(0, L * count).fill((byte) 0);
    long step = 4 * k.rowStride();
    int c = 0;
    for (; c <= size - 4 * W; c += 4 * W) {
      addFour(q.segment(), query + 4L * c, k.segment(), key + 4L * c, step, count, sums);
    }
    for (; c <= size - W; c += W) {
      addOne(q.segment(), query + 4L * c, k.segment(), key + 4L * c, step, count, sums);
    }
    for (int j = 0; j < count; j++) {
      float sum = 0;
      for (int lane = 0; lane < W; lane++) {
        sum += sums.get(Lanes.FLOAT, L * j + 4L * lane);
      }
      for (int i = c; i < size; i++) {
        float factor = q.segment().get(Lanes.FLOAT, query + 4L * i);
        sum = Math.fma(factor, k.segment().get(Lanes.FLOAT, key + step * j + 4L * i), sum);
      }
      sums.set(Lanes.FLOAT, L * KEYS + 4L * j, spec.scale() * sum);
    }
  }

  /** Adds the products of four vectors of each key, lane by lane. */
  private static void addFour(
      MemorySegment q,
      long query,
      MemorySegment k,
      long key,
      long step,
      int count,
      MemorySegment sums) {
    FloatVector q0 = Lanes.load(q, query);
    FloatVector q1 = Lanes.load(q, query + L);
    FloatVector q2 = Lanes.load(q, query + 2 * L);
    FloatVector q3 = Lanes.load(q, query + 3 * L);
    for (int j = 0; j < count; j++) {
      long row = key + step * j;
      FloatVector s = q0.fma(Lanes.load(k, row), Lanes.load(sums, L * j));
      s = q1.fma(Lanes.load(k, row + L), s);
      s = q2.fma(Lanes.load(k, row + 2 * L), s);
      s = q3.fma(Lanes.load(k, row + 3 * L), s);
      Lanes.store(s, sums, L * j);
    }
  }

  private static void addOne(
      MemorySegment q,
      long query,
      MemorySegment k,
      long key,
      long step,
      int count,
      MemorySegment sums) {
    FloatVector q0 = Lanes.load(q, query);
    for (int j = 0; j < count; j++) {
      FloatVector s = q0.fma(Lanes.load(k, key + step * j), Lanes.load(sums, L * j));
      Lanes.store(s, sums, L * j);
    }
  }

  /** Adds {@code slope·distance}, where the first key is at {@code distance}. */
  private static void addAlibi(float slope, int distance, int count, MemorySegment segment) {
    for (int j = 0; j < count; j++) {
      long at = L * KEYS + 4L * j;
      segment.set(Lanes.FLOAT, at, segment.get(Lanes.FLOAT, at) + slope * (distance + j));
    }
  }

  /** Stores {@code Σ_j p_j·v_j} at {@code result}. */
  private void weigh(MemorySegment p, long value, int count, long result) {
    long step = 4 * v.rowStride();
    MemorySegment vs = v.segment();
    MemorySegment target = partial.segment();
    int c = 0;
    for (; c <= size - 4 * W; c += 4 * W) {
      weighFour(p, vs, value + 4L * c, step, count, target, result + 4L * c);
    }
    for (; c <= size - W; c += W) {
      weighOne(p, vs, value + 4L * c, step, count, target, result + 4L * c);
    }
    for (; c < size; c++) {
      float sum = 0;
      for (int j = 0; j < count; j++) {
        float weight = p.get(Lanes.FLOAT, L * KEYS + 4L * j);
        sum = Math.fma(weight, vs.get(Lanes.FLOAT, value + step * j + 4L * c), sum);
      }
      target.set(Lanes.FLOAT, result + 4L * c, sum);
    }
  }

  private static void weighFour(
      MemorySegment p,
      MemorySegment v,
      long value,
      long step,
      int count,
      MemorySegment target,
      long result) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    for (int j = 0; j < count; j++) {
      long row = value + step * j;
      FloatVector weight = Lanes.broadcast(p, L * KEYS + 4L * j);
      s0 = weight.fma(Lanes.load(v, row), s0);
      s1 = weight.fma(Lanes.load(v, row + L), s1);
      s2 = weight.fma(Lanes.load(v, row + 2 * L), s2);
      s3 = weight.fma(Lanes.load(v, row + 3 * L), s3);
    }
    Lanes.store(s0, target, result);
    Lanes.store(s1, target, result + L);
    Lanes.store(s2, target, result + 2 * L);
    Lanes.store(s3, target, result + 3 * L);
  }

  private static void weighOne(
      MemorySegment p,
      MemorySegment v,
      long value,
      long step,
      int count,
      MemorySegment target,
      long result) {
    FloatVector s = FloatVector.zero(Lanes.F);
    for (int j = 0; j < count; j++) {
      FloatVector weight = Lanes.broadcast(p, L * KEYS + 4L * j);
      s = weight.fma(Lanes.load(v, value + step * j), s);
    }
    Lanes.store(s, target, result);
  }

  /** Adds the parts of a head, in their order, and divides by the sum of its weights. */
  private void merge(int sequence, int head) {
    MemorySegment segment = partial.segment();
    int start = sequence * parts;
    long sums = (long) spec.heads() * size + 2L * head;
    float sink = sinks.map(all -> all[head]).orElse(Float.NEGATIVE_INFINITY);
    float most = sink;
    for (int part = start; part < start + parts; part++) {
      most = Math.max(most, segment.get(Lanes.FLOAT, partial.at(part, sums)));
    }
    double total = sinks.isPresent() ? Math.exp(sink - most) : 0;
    for (int part = start; part < start + parts; part++) {
      long at = partial.at(part, sums);
      float weight = (float) Math.exp(segment.get(Lanes.FLOAT, at) - most);
      segment.set(Lanes.FLOAT, at, weight);
      total += (double) weight * segment.get(Lanes.FLOAT, at + Float.BYTES);
    }
    float factor = (float) (1 / total);
    long result = y.at(sequence, (long) head * size);
    for (int c = 0; c < size; c++) {
      float sum = 0;
      for (int part = start; part < start + parts; part++) {
        float weight = segment.get(Lanes.FLOAT, partial.at(part, sums));
        long at = partial.at(part, (long) head * size + c);
        sum = Math.fma(weight, segment.get(Lanes.FLOAT, at), sum);
      }
      y.segment().set(Lanes.FLOAT, result + 4L * c, factor * sum);
    }
  }
}
