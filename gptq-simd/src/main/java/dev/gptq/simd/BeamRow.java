package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * The beam of one row: M paths through a block of n columns. Columns are taken in panels of one
 * vector. Within a panel each path's vector of weights is updated at every column; the columns
 * behind the panel are updated once a panel ({@link BeamKernel}), from the weights that the path's
 * ancestor had before it and the errors of all its ancestors since, in their order.
 */
final class BeamRow {
  private static final int PANEL = Lanes.COUNT;
  private static final long ROW = 4L * ColumnStrips.ROWS;

  private final int n;
  private final int paths;
  private final GridView grid;
  private final MemorySegment factor;
  private final MemorySegment scratch;
  private final long stride;

  // Byte offsets in the scratch: weights before and after a panel, the panel's own weights before
  // and after a column, then what one column needs, one lane a path.
  private long weights;
  private long nextWeights;
  private long panel;
  private long nextPanel;
  private final long column;
  private final long costs;
  private final long candidates;
  private final long errors;

  // For each column and path: the code and the error, and the path that was continued.
  private final byte[] codes;
  private final float[] errorOf;
  private final int[] from;

  private int[] origin;
  private int[] nextOrigin;
  private final float[] bestCost;
  private final int[] best;
  private int kept;

  BeamRow(int n, int paths, GridView grid, MemorySegment factor, MemorySegment scratch) {
    this.n = n;
    this.paths = paths;
    this.grid = grid;
    this.factor = factor;
    this.scratch = scratch;
    this.stride = stride(n);
    long state = 4 * stride * paths;
    long lanes = lanes(paths);
    weights = 0;
    nextWeights = state;
    panel = 2 * state;
    nextPanel = panel + (long) paths * Lanes.BYTES;
    column = nextPanel + (long) paths * Lanes.BYTES;
    costs = column + lanes;
    candidates = costs + lanes;
    errors = candidates + 6 * lanes;
    codes = new byte[n * paths];
    errorOf = new float[n * paths];
    from = new int[n * paths];
    origin = new int[paths];
    nextOrigin = new int[paths];
    bestCost = new float[paths];
    best = new int[paths];
  }

  /** Floats from one row of the factor to the next: room for a kernel that begins at any vector. */
  static long stride(int n) {
    long vectors = Math.ceilDiv((long) n, PANEL) + BeamKernel.VECTORS - 1;
    return vectors * PANEL;
  }

  static long bytes(int n, int paths) {
    return 8 * stride(n) * paths + 2L * paths * Lanes.BYTES + 8 * lanes(paths) + 4L * PANEL;
  }

  private static long lanes(int paths) {
    return (long) (paths + Lanes.COUNT - 1) / Lanes.COUNT * Lanes.BYTES;
  }

  /** Takes a path's cost and its weights, a column of the strip apart. */
  void start(int path, float cost, MemorySegment strip, long at) {
    long to = weights + 4 * stride * path;
    for (int j = 0; j < n; j++) {
      scratch.set(Lanes.FLOAT, to + 4L * j, strip.get(Lanes.FLOAT, at + ROW * j));
    }
    scratch.asSlice(to + 4L * n, 4 * (stride - n)).fill((byte) 0);
    scratch.set(Lanes.FLOAT, costs + 4L * path, cost);
    origin[path] = path;
  }

  /** What a path has cost. */
  float cost(int path) {
    return scratch.get(Lanes.FLOAT, costs + 4L * path);
  }

  /** The index that a path had at the start. */
  int origin(int path) {
    return origin[path];
  }

  /** Writes a path's errors over the weights it came with, and its codes. */
  void finish(int path, MemorySegment strip, long at, long codesAt) {
    int p = path;
    for (int j = n - 1; j >= 0; j--) {
      int i = j * paths + p;
      strip.set(Lanes.FLOAT, at + ROW * j, errorOf[i]);
      strip.set(ValueLayout.JAVA_BYTE, codesAt + (long) j * ColumnStrips.ROWS, codes[i]);
      p = from[i];
    }
  }

  /** Runs the block for one row of the grids. */
  void run(int row) {
    for (int first = 0; first < n; first += PANEL) {
      for (int p = 0; p < paths; p++) {
        long at = weights + 4 * (stride * p + first);
        Lanes.store(Lanes.load(scratch, at), scratch, panel + (long) p * Lanes.BYTES);
      }
      int end = Math.min(n, first + PANEL);
      for (int j = first; j < end; j++) {
        step(row, first, j);
      }
      advance(first, end);
    }
  }

  private void step(int row, int first, int j) {
    for (int p = 0; p < paths; p++) {
      float w = scratch.get(Lanes.FLOAT, panel + (long) p * Lanes.BYTES + 4L * (j - first));
      scratch.set(Lanes.FLOAT, column + 4L * p, w);
    }
    int group = grid.group(j);
    float scale = grid.scale().segment().get(Lanes.FLOAT, grid.scale().at(row, group));
    float zero = grid.zero().segment().get(Lanes.FLOAT, grid.zero().at(row, group));
    float pivot = factor.get(Lanes.FLOAT, 4 * (stride * j + j));
    long lanes = lanes(paths);
    for (long lane = 0; lane < lanes; lane += Lanes.BYTES) {
      continuations(lane, lanes, scale, zero, pivot);
    }
    select(lanes);
    keep(first, j, lanes);
  }

  /** Costs, errors and codes of both continuations of a vector of paths. */
  private void continuations(long lane, long lanes, float scale, float zero, float pivot) {
    FloatVector w = Lanes.load(scratch, column + lane);
    FloatVector cost = Lanes.load(scratch, costs + lane);
    FloatVector s = FloatVector.broadcast(Lanes.F, scale);
    FloatVector z = FloatVector.broadcast(Lanes.F, zero);
    FloatVector code = Rounding.codes(w, s, z, grid.midRise(), grid.least(), grid.most());
    FloatVector rest = w.sub(s.mul(code.sub(z)));
    FloatVector e = rest.div(pivot);
    Lanes.store(e.mul(0.5f).fma(e, cost), scratch, candidates + lane);
    Lanes.store(e, scratch, candidates + lanes + lane);
    Lanes.store(code, scratch, candidates + 2 * lanes + lane);
    float step = scale > 0 ? 1 : -1;
    VectorMask<Float> above = rest.compare(VectorOperators.GE, 0f);
    FloatVector other = code.add(FloatVector.broadcast(Lanes.F, -step).blend(step, above));
    e = w.sub(s.mul(other.sub(z))).div(pivot);
    // NaN marks a neighbour that is no code.
    VectorMask<Float> none = other.compare(VectorOperators.LT, grid.least());
    none = none.or(other.compare(VectorOperators.GT, grid.most()));
    FloatVector price = e.mul(0.5f).fma(e, cost).blend(Float.NaN, none);
    Lanes.store(price, scratch, candidates + 3 * lanes + lane);
    Lanes.store(e, scratch, candidates + 4 * lanes + lane);
    Lanes.store(other, scratch, candidates + 5 * lanes + lane);
  }

  /** The cheapest continuations: number 2p is path p with its nearest code, 2p + 1 the other. */
  private void select(long lanes) {
    kept = 0;
    for (int p = 0; p < paths; p++) {
      // Costs of paths ascend and only grow: nothing cheaper can follow.
      if (kept == paths && cost(p) >= bestCost[paths - 1]) {
        return;
      }
      insert(2 * p, scratch.get(Lanes.FLOAT, candidates + 4L * p));
      insert(2 * p + 1, scratch.get(Lanes.FLOAT, candidates + 3 * lanes + 4L * p));
    }
  }

  private void insert(int candidate, float cost) {
    if (Float.isNaN(cost) || (kept == paths && cost >= bestCost[paths - 1])) {
      return;
    }
    int i = kept < paths ? kept++ : paths - 1;
    for (; i > 0 && bestCost[i - 1] > cost; i--) {
      bestCost[i] = bestCost[i - 1];
      best[i] = best[i - 1];
    }
    bestCost[i] = cost;
    best[i] = candidate;
  }

  /** Makes the chosen continuations the paths, and updates their panels. */
  private void keep(int first, int j, long lanes) {
    FloatVector u = Lanes.load(factor, 4 * (stride * j + first));
    for (int p = 0; p < paths; p++) {
      int old = best[p] >> 1;
      long at = candidates + 3 * lanes * (best[p] & 1) + 4L * old;
      float e = scratch.get(Lanes.FLOAT, at + lanes);
      FloatVector before = Lanes.load(scratch, panel + (long) old * Lanes.BYTES);
      FloatVector after = FloatVector.broadcast(Lanes.F, -e).fma(u, before);
      Lanes.store(after, scratch, nextPanel + (long) p * Lanes.BYTES);
      int i = j * paths + p;
      from[i] = old;
      errorOf[i] = e;
      codes[i] = (byte) (int) scratch.get(Lanes.FLOAT, at + 2 * lanes);
      scratch.set(Lanes.FLOAT, costs + 4L * p, bestCost[p]);
    }
    long swap = panel;
    panel = nextPanel;
    nextPanel = swap;
  }

  /** Brings the columns behind a panel up to date. */
  private void advance(int first, int end) {
    for (int p = 0; p < paths; p++) {
      int old = p;
      for (int j = end - 1; j >= first; j--) {
        int i = j * paths + old;
        scratch.set(Lanes.FLOAT, errors + 4L * (j - first), -errorOf[i]);
        old = from[i];
      }
      nextOrigin[p] = origin[old];
      long before = weights + 4 * (stride * old + end);
      long after = nextWeights + 4 * (stride * p + end);
      long rows = 4 * (stride * first + end);
      for (int k = end; k < n; k += BeamKernel.VECTORS * PANEL) {
        long offset = 4L * (k - end);
        BeamKernel.update(
            scratch,
            before + offset,
            after + offset,
            errors,
            end - first,
            factor,
            rows + offset,
            4 * stride);
      }
    }
    long swap = weights;
    weights = nextWeights;
    nextWeights = swap;
    int[] origins = origin;
    origin = nextOrigin;
    nextOrigin = origins;
  }
}
