package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * The gated delta rule; see {@link dev.gptq.backend.TransformerOps#deltaRule}. The columns of a
 * state do not depend on each other: a task takes one head of one sequence, and all tokens for as
 * many columns as a vector has lanes before it goes on, so that these stay in the first-level
 * cache.
 */
final class DeltaRule {
  private static final int L = Lanes.COUNT;

  private final Matrix q;
  private final Matrix k;
  private final Matrix v;
  private final Matrix decay;
  private final Matrix beta;
  private final Matrix state;
  private final Matrix y;
  private final int heads;
  private final int keySize;
  private final int share;
  private final int length;

  private DeltaRule(
      Matrix q,
      Matrix k,
      Matrix v,
      Matrix decay,
      Matrix beta,
      Matrix state,
      int sequences,
      Matrix y) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.decay = decay;
    this.beta = beta;
    this.state = state;
    this.y = y;
    this.heads = decay.columns();
    this.keySize = state.rows() / (sequences * heads);
    this.share = heads / (q.columns() / keySize);
    this.length = q.rows() / sequences;
  }

  static void run(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      Matrix decay,
      Matrix beta,
      Matrix state,
      int sequences,
      Matrix y) {
    DeltaRule rule = new DeltaRule(q, k, v, decay, beta, state, sequences, y);
    execution.pool().forEach(sequences * rule.heads, rule::head);
  }

  private void head(int task, int worker) {
    for (int column = 0; column < state.columns(); column += L) {
      VectorMask<Float> mask = Lanes.F.indexInRange(column, state.columns());
      for (int t = 0; t < length; t++) {
        token(task, task / heads * length + t, column, mask);
      }
    }
  }

  private void token(int task, int row, int column, VectorMask<Float> mask) {
    int head = task % heads;
    int key = head / share * keySize;
    int firstRow = task * keySize;
    int value = head * state.columns() + column;
    FloatVector gamma = Lanes.broadcast(decay.segment(), decay.at(row, head));
    FloatVector recalled = FloatVector.zero(Lanes.F);
    for (int i = 0; i < keySize; i++) {
      long at = state.at(firstRow + i, column);
      FloatVector s = Functions.load(state.segment(), at, mask).mul(gamma);
      Functions.store(s, state.segment(), at, mask);
      recalled = Lanes.broadcast(k.segment(), k.at(row, key + i)).fma(s, recalled);
    }
    FloatVector change =
        Functions.load(v.segment(), v.at(row, value), mask)
            .sub(recalled)
            .mul(Lanes.broadcast(beta.segment(), beta.at(row, head)));
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < keySize; i++) {
      long at = state.at(firstRow + i, column);
      FloatVector s =
          Lanes.broadcast(k.segment(), k.at(row, key + i))
              .fma(change, Functions.load(state.segment(), at, mask));
      Functions.store(s, state.segment(), at, mask);
      sum = Lanes.broadcast(q.segment(), q.at(row, key + i)).fma(s, sum);
    }
    Functions.store(sum, y.segment(), y.at(row, value), mask);
  }
}
