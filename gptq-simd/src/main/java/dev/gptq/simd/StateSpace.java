package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * A selective state space; see {@link dev.gptq.backend.TransformerOps#stateSpace}. The columns of a
 * state do not depend on each other: a task takes one head of one sequence, and all tokens for as
 * many columns as a vector has lanes before it goes on, so that these stay in the first-level
 * cache.
 */
final class StateSpace {
  private static final int L = Lanes.COUNT;

  private final Matrix q;
  private final Matrix k;
  private final Matrix v;
  private final Matrix step;
  private final float[] rate;
  private final Matrix state;
  private final Matrix y;
  private final int heads;
  private final int keySize;
  private final int share;
  private final int length;

  private StateSpace(
      Matrix q,
      Matrix k,
      Matrix v,
      Matrix step,
      float[] rate,
      Matrix state,
      int sequences,
      Matrix y) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.step = step;
    this.rate = rate;
    this.state = state;
    this.y = y;
    this.heads = step.columns();
    this.keySize = state.rows() / (sequences * heads);
    this.share = heads / (q.columns() / keySize);
    this.length = q.rows() / sequences;
  }

  static void run(
      Execution execution,
      Matrix q,
      Matrix k,
      Matrix v,
      Matrix step,
      float[] rate,
      Matrix state,
      int sequences,
      Matrix y) {
    StateSpace space = new StateSpace(q, k, v, step, rate, state, sequences, y);
    execution.pool().forEach(sequences * space.heads, space::head);
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
    float dt = step.segment().get(Lanes.FLOAT, step.at(row, head));
    float kept = (float) Math.exp(-rate[head] * (double) dt);
    FloatVector change = Functions.load(v.segment(), v.at(row, value), mask).mul(dt);
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < keySize; i++) {
      long at = state.at(firstRow + i, column);
      FloatVector s =
          Lanes.broadcast(k.segment(), k.at(row, key + i))
              .fma(change, Functions.load(state.segment(), at, mask).mul(kept));
      Functions.store(s, state.segment(), at, mask);
      sum = Lanes.broadcast(q.segment(), q.at(row, key + i)).fma(s, sum);
    }
    Functions.store(sum, y.segment(), y.at(row, value), mask);
  }
}
