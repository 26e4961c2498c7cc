package dev.gptq.simd;

import dev.gptq.backend.AttentionSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;

/**
 * Causal attention in blocks of queries and keys, with the running softmax of Milakov and
 * Gimelshein: memory is linear in the length. A task is one block of queries of one head; for each
 * block of keys
 *
 * <pre>
 *   S = scale·Q·Kᵀ, capped, biased;  m' = max(m, max S);  P = e^(S − m')
 *   O ← e^(m − m')·O + P·V;  l ← e^(m − m')·l + ΣP;  at the end y = O/l
 * </pre>
 */
final class Attention {
  private static final int QUERIES = 60;
  private static final int KEYS = 256;

  private final Execution execution;
  private final Matrix q;
  private final Matrix k;
  private final Matrix v;
  private final Matrix y;
  private final AttentionSpec spec;
  private final Optional<float[]> sinks;
  private final int queries;
  private final int keys;
  private final int size;

  private Attention(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      AttentionSpec spec,
      Optional<float[]> sinks,
      int sequences,
      Matrix y) {
    this.execution = execution;
    this.q = q;
    this.k = k;
    this.v = v;
    this.y = y;
    this.spec = spec;
    this.sinks = sinks;
    this.queries = q.rows() / sequences;
    this.keys = k.rows() / sequences;
    this.size = spec.headSize();
  }

  static void run(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      AttentionSpec spec,
      Optional<float[]> sinks,
      int sequences,
      Matrix y) {
    if (RowAttention.serves(q, k, v, sequences, y)) {
      RowAttention.run(execution, q, k, v, spec, sinks, y);
    } else {
      new Attention(execution, q, k, v, spec, sinks, sequences, y).run(sequences);
    }
  }

  private void run(int sequences) {
    int blocks = (queries + QUERIES - 1) / QUERIES;
    int heads = spec.heads();
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(
                Workspace.Use.ATTENTION,
                execution.pool().workers(),
                4L * QUERIES * ((long) KEYS + size));
    execution
        .pool()
        .forEach(
            sequences * heads * blocks,
            (i, worker) -> {
              // The last queries see the most keys: first come, best balanced.
              int block = blocks - 1 - i / (sequences * heads);
              int rest = i % (sequences * heads);
              int end = Math.min(queries, (block + 1) * QUERIES);
              new Block(rest / heads, rest % heads, block * QUERIES, end, scratch[worker])
                  .run(execution.serial(worker));
            });
  }

  /** Queries {@code from} to {@code to} (exclusive) of one head of one sequence. */
  private final class Block {
    private final int sequence;
    private final int head;
    private final int from;
    private final int to;
    private final Matrix scores;
    private final Matrix sums;
    private final float[] max;
    private final double[] total;

    Block(int sequence, int head, int from, int to, MemorySegment scratch) {
      this.sequence = sequence;
      this.head = head;
      this.from = from;
      this.to = to;
      this.scores = Matrix.rowMajor(scratch, to - from, KEYS);
      this.sums = Matrix.rowMajor(scratch.asSlice(4L * QUERIES * KEYS), to - from, size);
      this.max = new float[to - from];
      this.total = new double[to - from];
    }

    void run(Gemm gemm) {
      int share = spec.heads() / spec.keyValueHeads();
      int column = head / share * size;
      int firstRow = sequence * queries + from;
      Matrix qs = q.block(firstRow, firstRow + to - from, head * size, (head + 1) * size);
      // A sink is a key that comes before all others.
      Arrays.fill(max, sinks.map(all -> all[head]).orElse(Float.NEGATIVE_INFINITY));
      Arrays.fill(total, sinks.isPresent() ? 1 : 0);
      sums.segment().asSlice(0, 4L * (to - from) * size).fill((byte) 0);
      for (int j = firstKey(from) / KEYS * KEYS; j <= position(to - 1); j += KEYS) {
        int end = Math.min(position(to - 1) + 1, j + KEYS);
        int row = sequence * keys + j;
        int rowEnd = sequence * keys + end;
        Matrix s = scores.block(0, to - from, 0, end - j);
        gemm.multiply(
            spec.scale(), qs, k.block(row, rowEnd, column, column + size).transposed(), 0, s);
        for (int i = 0; i < to - from; i++) {
          softmax(i, j, end);
        }
        gemm.multiply(1, s, v.block(row, rowEnd, column, column + size), 1, sums);
      }
      for (int i = 0; i < to - from; i++) {
        Matrix out = y.block(firstRow + i, firstRow + i + 1, head * size, (head + 1) * size);
        Elementwise.scaled((float) (1 / total[i]), sums.block(i, i + 1, 0, size), out);
      }
    }

    /** Turns the scores of query from + i with keys j … end − 1 into weights. */
    private void softmax(int i, int j, int end) {
      int first = Math.max(firstKey(from + i), j) - j;
      int last = Math.min(position(from + i) + 1, end) - j;
      MemorySegment segment = scores.segment();
      long row = scores.at(i, 0);
      if (first >= last) {
        segment.asSlice(row, 4L * (end - j)).fill((byte) 0);
        return;
      }
      segment.asSlice(row, 4L * first).fill((byte) 0);
      segment.asSlice(row + 4L * last, 4L * (end - j - last)).fill((byte) 0);
      long start = row + 4L * first;
      int count = last - first;
      if (spec.softCap() > 0) {
        Functions.softCap(spec.softCap(), scores.block(i, i + 1, first, last), 0, 1);
      }
      if (spec.alibi() != 0) {
        addAlibi(start, count, j + first - position(from + i));
      }
      float most = Math.max(max[i], Softmax.max(segment, start, count));
      float shrink = (float) Math.exp(max[i] - most);
      if (shrink != 1) {
        Elementwise.scale(shrink, sums, i, i + 1);
      }
      total[i] = total[i] * shrink + Softmax.expInPlace(segment, start, count, most);
      max[i] = most;
    }

    private void addAlibi(long start, int count, int distance) {
      float slope = spec.alibiSlope(head);
      for (int c = 0; c < count; c++) {
        float score = scores.segment().get(Lanes.FLOAT, start + 4L * c);
        scores.segment().set(Lanes.FLOAT, start + 4L * c, score + slope * (distance + c));
      }
    }

    private int position(int query) {
      return keys - queries + query;
    }

    private int firstKey(int query) {
      return spec.window() > 0 ? Math.max(0, position(query) - spec.window() + 1) : 0;
    }
  }
}
