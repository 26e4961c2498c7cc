package dev.gptq.quantize;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.SuperBlock;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * The scales of a matrix as {@link SuperBlock}s hold them, in host memory, with groups in the
 * stored order: of group g of row r the scale {@code d·c} and the offset {@code e·o}.
 */
final class BlockScales {
  private final SuperBlock type;
  private final int rows;
  private final int groups;
  final float[] d;
  final float[] e;
  final int[] c;
  final int[] o;

  BlockScales(SuperBlock type, int rows, int columns) {
    this.type = type;
    this.rows = rows;
    this.groups = columns / type.groupSize();
    int blocks = rows * (columns / SuperBlock.COLUMNS);
    this.d = new float[blocks];
    this.e = new float[blocks];
    this.c = new int[rows * groups];
    this.o = new int[rows * groups];
  }

  SuperBlock type() {
    return type;
  }

  /** Groups of a row. */
  int groups() {
    return groups;
  }

  /** Index of a group of a row in {@code c} and {@code o}. */
  int group(int row, int group) {
    return row * groups + group;
  }

  /** Index of its block in {@code d} and {@code e}. */
  int block(int row, int group) {
    return (row * groups + group) / type.groups();
  }

  float scale(int row, int group) {
    return d[block(row, group)] * c[group(row, group)];
  }

  float offset(int row, int group) {
    return e[block(row, group)] * o[group(row, group)];
  }

  /**
   * The grids of weights to which their offsets were added, so that code 0 stands for 0 where
   * groups have offsets.
   */
  Grid shifted(GridSpec spec, int[] groupOf, TensorScope scope) {
    float zero = type.hasOffsets() ? 0 : type.scheme().fixedZero(type.bits());
    return new Grid(spec, scales(scope), scope.filled(zero, rows, groups), scope.upload(groupOf));
  }

  /**
   * {@code W + M}: the weights with the offsets of their groups added.
   *
   * @param w column by column; changed
   */
  Tensor addOffsets(float[] w, int[] groupOf, TensorScope scope) {
    if (type.hasOffsets()) {
      IntStream.range(0, groupOf.length)
          .parallel()
          .forEach(p -> {
            for (int r = 0; r < rows; r++) {
              w[p * rows + r] += offset(r, groupOf[p]);
            }
          });
    }
    return scope.upload(
        MemorySegment.ofArray(w), DType.F32, rows, groupOf.length, Layout.COLUMN_MAJOR);
  }

  /** The grids of the weights themselves; with offsets zero points are not integers. */
  void store(Tensor scale, Tensor zero, TensorScope scope, GridStore store) {
    store.store(scales(scope), scale);
    store.store(tensor(zeros(), scope), zero);
  }

  /** Copies a tensor. */
  @FunctionalInterface
  interface GridStore {
    /** Copies one. */
    void store(Tensor from, Tensor to);
  }

  /** The scale of each row of each group, group by group. */
  float[] scales() {
    float[] scales = new float[rows * groups];
    for (int g = 0; g < groups; g++) {
      for (int r = 0; r < rows; r++) {
        scales[g * rows + r] = scale(r, g);
      }
    }
    return scales;
  }

  /** The zero point of each row of each group, group by group; with offsets it is no integer. */
  float[] zeros() {
    float[] zeros = new float[rows * groups];
    for (int g = 0; g < groups; g++) {
      for (int r = 0; r < rows; r++) {
        zeros[g * rows + r] =
            type.hasOffsets() ? offset(r, g) / scale(r, g) : type.scheme().fixedZero(type.bits());
      }
    }
    return zeros;
  }

  private Tensor scales(TensorScope scope) {
    return tensor(scales(), scope);
  }

  private Tensor tensor(float[] values, TensorScope scope) {
    return scope.upload(
        MemorySegment.ofArray(values), DType.F32, rows, groups, Layout.COLUMN_MAJOR);
  }
}
