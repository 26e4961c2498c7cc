package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import com.google.common.base.Preconditions;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.ScoreRows;
import dev.gptq.cuda.driver.BoxLayout;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * The arguments of a kernel launch in memory allocated once: the driver copies them before the
 * launch returns. Structures are laid out as the kernels declare them.
 */
final class LaunchArguments {
  static final int MAX_ARGUMENTS = 16;

  /** Bytes of an argument. */
  static final int SLOT = 512;

  /** LADDER_SHRINKS of fit_grid_weighted.cu. */
  private static final int LADDER_SHRINKS = 96;

  private final MemorySegment values = Arena.ofAuto().allocate(MAX_ARGUMENTS * SLOT, SLOT);
  private final MemorySegment pointers = Arena.ofAuto().allocate(ADDRESS, MAX_ARGUMENTS);
  private int count;

  LaunchArguments() {
    for (int i = 0; i < MAX_ARGUMENTS; i++) {
      pointers.setAtIndex(ADDRESS, i, values.asSlice((long) i * SLOT, SLOT));
    }
  }

  LaunchArguments clear() {
    count = 0;
    return this;
  }

  MemorySegment pointers() {
    return pointers;
  }

  LaunchArguments add(int value) {
    values.set(JAVA_INT, next(), value);
    return this;
  }

  LaunchArguments add(float value) {
    values.set(JAVA_FLOAT, next(), value);
    return this;
  }

  /** A device address. */
  LaunchArguments address(long value) {
    values.set(JAVA_LONG, next(), value);
    return this;
  }

  /** {@code Matrix} of common.cuh. */
  LaunchArguments add(CudaTensor t) {
    long at = next();
    values.set(JAVA_LONG, at, t.address());
    values.set(JAVA_LONG, at + 8, t.rowStride());
    values.set(JAVA_LONG, at + 16, t.columnStride());
    values.set(JAVA_INT, at + 24, t.rows());
    values.set(JAVA_INT, at + 28, t.columns());
    values.set(JAVA_INT, at + 32, KernelCodes.of(t.type()));
    return this;
  }

  /** {@code GridSpec} of grid.cuh. */
  LaunchArguments add(GridSpec spec) {
    long at = next();
    values.set(JAVA_INT, at, spec.scheme().minCode());
    values.set(JAVA_INT, at + 4, spec.maxCode());
    values.set(JAVA_INT, at + 8, spec.scheme().levels(spec.bits()));
    values.set(JAVA_INT, at + 12, spec.scheme().isMidRise() ? 1 : 0);
    values.set(JAVA_INT, at + 16, spec.scheme().hasZeroPoint() ? 1 : 0);
    values.set(JAVA_INT, at + 20, KernelCodes.of(spec.scaleType()));
    values.set(
        JAVA_FLOAT,
        at + 24,
        spec.scheme().hasZeroPoint() ? 0 : spec.scheme().fixedZero(spec.bits()));
    values.set(JAVA_INT, at + 28, spec.scaleBits());
    values.set(JAVA_FLOAT, at + 32, spec.largestScale());
    values.set(JAVA_INT, at + 36, spec.leastZero());
    return this;
  }

  /** {@code Ladder} of fit_grid_weighted.cu. */
  LaunchArguments add(GridLadder ladder) {
    Preconditions.checkArgument(
        ladder.shrinks().size() <= LADDER_SHRINKS,
        "the cuda backend tries up to %s shrinks of a grid, not %s",
        LADDER_SHRINKS,
        ladder.shrinks().size());
    long at = next();
    values.set(JAVA_INT, at, ladder.shrinks().size());
    values.set(JAVA_INT, at + 4, ladder.zeroReach());
    for (int i = 0; i < ladder.shrinks().size(); i++) {
      values.set(JAVA_FLOAT, at + 8 + 4L * i, ladder.shrinks().get(i));
    }
    return this;
  }

  /** {@code Attention} of attention.cu. */
  LaunchArguments add(AttentionSpec spec, int queries, int keys, Optional<CudaTensor> sinks) {
    long at = next();
    values.set(JAVA_INT, at, spec.heads());
    values.set(JAVA_INT, at + 4, spec.heads() / spec.keyValueHeads());
    values.set(JAVA_INT, at + 8, spec.headSize());
    values.set(JAVA_INT, at + 12, spec.window());
    values.set(JAVA_INT, at + 16, queries);
    values.set(JAVA_INT, at + 20, keys);
    values.set(JAVA_FLOAT, at + 24, spec.alibi());
    values.set(JAVA_FLOAT, at + 28, spec.scale());
    values.set(JAVA_FLOAT, at + 32, spec.softCap());
    values.set(JAVA_LONG, at + 40, sinks.map(CudaTensor::address).orElse(0L));
    return this;
  }

  /** {@code ScoreRows} of gradient.cu. */
  LaunchArguments add(ScoreRows rows) {
    long at = next();
    values.set(JAVA_INT, at, rows.first());
    values.set(JAVA_INT, at + 4, rows.window());
    values.set(JAVA_FLOAT, at + 8, rows.softCap());
    values.set(JAVA_FLOAT, at + 12, rows.slope());
    values.set(JAVA_FLOAT, at + 16, rows.sink());
    return this;
  }

  /** {@code Packed} of packed.cu. */
  LaunchArguments add(PlainWeights w) {
    long at = next();
    values.set(JAVA_LONG, at, w.words());
    values.set(JAVA_LONG, at + 8, w.scales());
    values.set(JAVA_LONG, at + 16, w.zeros());
    values.set(JAVA_LONG, at + 24, w.groupOf());
    values.set(JAVA_INT, at + 32, w.rows());
    values.set(JAVA_INT, at + 36, w.columns());
    values.set(JAVA_INT, at + 40, w.groupSize());
    values.set(JAVA_FLOAT, at + 44, w.fixedZero());
    return this;
  }

  /** {@code Tiled} of packed_tiles.cuh. */
  LaunchArguments add(TiledWeights w) {
    long at = next();
    values.set(JAVA_LONG, at, w.tiles());
    values.set(JAVA_LONG, at + 8, w.grids());
    values.set(JAVA_INT, at + 16, w.rows());
    values.set(JAVA_INT, at + 20, w.columns());
    values.set(JAVA_INT, at + 24, w.groupSize());
    return this;
  }

  /** A structure of {@code BoxMap}s of bulk_copy.cuh. */
  LaunchArguments add(CudaDriver driver, BoxLayout... layouts) {
    long at = next();
    for (int i = 0; i < layouts.length; i++) {
      long offset = at + (long) i * BoxLayout.ENCODED_BYTES;
      driver.encode(layouts[i], values.asSlice(offset, BoxLayout.ENCODED_BYTES));
    }
    return this;
  }

  private long next() {
    return (long) SLOT * count++;
  }
}
