package dev.gptq.simd;

import dev.gptq.grid.Grid;
import dev.gptq.grid.Scheme;

/** A {@link Grid} as kernels read it. Scale and zero of a group run down contiguous columns. */
final class GridView {
  private final Matrix scale;
  private final Matrix zero;
  private final Matrix groups;
  private final int[] groupOf;
  private final boolean midRise;
  private final float least;
  private final float most;

  GridView(Grid grid) {
    Scheme scheme = grid.spec().scheme();
    this.scale = Matrix.of(grid.scale());
    this.zero = Matrix.of(grid.zero());
    this.groups = Matrix.of(grid.groupOf());
    this.groupOf = Indices.of(grid.groupOf());
    this.midRise = scheme.isMidRise();
    this.least = scheme.minCode();
    this.most = grid.spec().maxCode();
  }

  /** Rows × groups. */
  Matrix scale() {
    return scale;
  }

  /** Rows × groups. */
  Matrix zero() {
    return zero;
  }

  /** Groups of all columns, I32, 1 × columns. */
  Matrix groups() {
    return groups;
  }

  /** Group of a column. */
  int group(int column) {
    return groupOf[column];
  }

  boolean midRise() {
    return midRise;
  }

  /** The smallest code. */
  float least() {
    return least;
  }

  /** The largest code. */
  float most() {
    return most;
  }
}
