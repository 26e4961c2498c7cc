package dev.gptq.simd;

import dev.gptq.backend.LinearAlgebra;
import dev.gptq.simd.Gemm.Part;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Linear algebra: products and factors by {@link Gemm}, everything else run by run. */
final class SimdLinearAlgebra implements LinearAlgebra {
  private final Execution execution;
  private final OutsideForward outside;

  SimdLinearAlgebra(Execution execution, OutsideForward outside) {
    this.execution = execution;
    this.outside = outside;
  }

  @Override
  public void gemm(float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    Matrix am = Matrix.of(a);
    Matrix bm = Matrix.of(b);
    Matrix cm = Matrix.of(c);
    if (!outside.products(alpha, am, bm.transposed(), beta, cm)) {
      execution.gemm().multiply(alpha, am, bm, beta, cm);
    }
  }

  @Override
  public void accumulateGram(float weight, Tensor x, Tensor h) {
    Matrix xm = Matrix.of(x);
    execution.gemm().multiply(weight, xm.transposed(), xm, 1, Matrix.of(h), Part.LOWER);
  }

  @Override
  public void symmetrize(Tensor h) {
    Matrix m = Matrix.of(h);
    int n = m.rows();
    Transposition.forTiles(
        execution,
        n,
        n,
        (r0, r1, c0, c1) -> {
          for (int i = r0; i < r1; i++) {
            for (int j = c0; j < Math.min(c1, i); j++) {
              float value = m.segment().get(Lanes.FLOAT, m.at(i, j));
              m.segment().set(Lanes.FLOAT, m.at(j, i), value);
            }
          }
        });
  }

  @Override
  public void diagonal(Tensor h, Tensor d) {
    Matrix m = Matrix.of(h);
    Matrix v = Matrix.of(d);
    for (int j = 0; j < m.rows(); j++) {
      v.segment().set(Lanes.FLOAT, v.at(0, j), m.segment().get(Lanes.FLOAT, m.at(j, j)));
    }
  }

  @Override
  public void addToDiagonal(Tensor d, Tensor h) {
    Matrix m = Matrix.of(h);
    Matrix v = Matrix.of(d);
    for (int j = 0; j < m.rows(); j++) {
      float sum =
          m.segment().get(Lanes.FLOAT, m.at(j, j)) + v.segment().get(Lanes.FLOAT, v.at(0, j));
      m.segment().set(Lanes.FLOAT, m.at(j, j), sum);
    }
  }

  @Override
  public void gatherColumns(Tensor src, Tensor index, Tensor dst) {
    Matrix s = Matrix.of(src);
    Matrix d = Matrix.of(dst);
    int[] from = Indices.of(index);
    if (s.rowStride() == 1 && d.rowStride() == 1) {
      int bytes = s.type().bytes();
      execution.forRanges(
          from.length,
          16,
          (c0, c1) -> {
            for (int j = c0; j < c1; j++) {
              MemorySegment.copy(
                  s.segment(),
                  s.index(0, from[j]) * bytes,
                  d.segment(),
                  d.index(0, j) * bytes,
                  (long) s.rows() * bytes);
            }
          });
    } else if (s.type() == DType.U8) {
      Transposition.forTiles(
          execution,
          d.rows(),
          d.columns(),
          (r0, r1, c0, c1) -> gatherBytes(s, from, d, r0, r1, c0, c1));
    } else {
      Transposition.forTiles(
          execution, d.rows(), d.columns(), (r0, r1, c0, c1) -> gather(s, from, d, r0, r1, c0, c1));
    }
  }

  private static void gather(Matrix s, int[] from, Matrix d, int r0, int r1, int c0, int c1) {
    for (int r = r0; r < r1; r++) {
      for (int j = c0; j < c1; j++) {
        float value = s.segment().get(Lanes.FLOAT, s.at(r, from[j]));
        d.segment().set(Lanes.FLOAT, d.at(r, j), value);
      }
    }
  }

  private static void gatherBytes(Matrix s, int[] from, Matrix d, int r0, int r1, int c0, int c1) {
    for (int r = r0; r < r1; r++) {
      for (int j = c0; j < c1; j++) {
        byte value = s.segment().get(ValueLayout.JAVA_BYTE, s.index(r, from[j]));
        d.segment().set(ValueLayout.JAVA_BYTE, d.index(r, j), value);
      }
    }
  }

  @Override
  public void gatherSymmetric(Tensor h, Tensor index, Tensor dst) {
    Matrix s = Matrix.of(h);
    Matrix d = Matrix.of(dst);
    int[] from = Indices.of(index);
    int n = from.length;
    Matrix rows = s.rowsContiguous() ? s : s.transposed();
    Matrix target = d.rowsContiguous() ? d : d.transposed();
    execution.forRanges(
        n,
        16,
        (r0, r1) -> {
          for (int i = r0; i < r1; i++) {
            long source = rows.at(from[i], 0);
            long to = target.at(i, 0);
            for (int j = 0; j < n; j++) {
              float value = rows.segment().get(Lanes.FLOAT, source + 4L * from[j]);
              target.segment().set(Lanes.FLOAT, to + 4L * j, value);
            }
          }
        });
  }

  @Override
  public void zeroColumns(Tensor index, Tensor w) {
    Matrix m = Matrix.of(w);
    for (int j : Indices.of(index)) {
      for (int r = 0; r < m.rows(); r++) {
        m.segment().set(Lanes.FLOAT, m.at(r, j), 0f);
      }
    }
  }

  @Override
  public void cholesky(Tensor h) {
    Cholesky.run(execution, Matrix.of(h));
  }

  @Override
  public void invertDiagonalBlocks(Tensor v, Tensor u) {
    TriangularInverse.run(execution, Matrix.of(v), Matrix.of(u));
  }

  @Override
  public void addSumOfSquares(Tensor x, Tensor total) {
    Matrix m = Reductions.runs(x);
    add(total, execution.sumRanges(m.rows(), 16, (from, to) -> Reductions.squares(m, from, to)));
  }

  @Override
  public void addTraceQuadratic(Tensor a, Tensor h, Tensor total) {
    add(total, TraceQuadratic.of(execution, Matrix.of(a), Matrix.of(h)));
  }

  @Override
  public void addNonFiniteCount(Tensor x, Tensor total) {
    Matrix m = Reductions.runs(x);
    add(total, execution.sumRanges(m.rows(), 16, (from, to) -> Reductions.nonFinite(m, from, to)));
  }

  @Override
  public void axpy(float alpha, Tensor x, Tensor y) {
    Matrix xm = Matrix.of(x);
    Matrix ym = Matrix.of(y);
    Matrix target = ym.rowsContiguous() ? ym : ym.transposed();
    Matrix source = ym.rowsContiguous() ? xm : xm.transposed();
    if (source.rowsContiguous() && source.type() == DType.F32) {
      execution.forRanges(
          target.rows(), 16, (from, to) -> Elementwise.axpy(alpha, source, target, from, to));
    } else {
      Transposition.forTiles(
          execution,
          target.rows(),
          target.columns(),
          (r0, r1, c0, c1) -> {
            for (int r = r0; r < r1; r++) {
              for (int c = c0; c < c1; c++) {
                long to = target.index(r, c);
                float old = Conversion.get(target.type(), target.segment(), to);
                float value = Conversion.get(source.type(), source.segment(), source.index(r, c));
                Conversion.set(target.type(), target.segment(), to, Math.fma(alpha, value, old));
              }
            }
          });
    }
  }

  @Override
  public void convert(Tensor src, Tensor dst) {
    Matrix from = Matrix.of(src);
    Matrix to = Matrix.of(dst);
    if (!outside.narrow(from, to) && !outside.transpose(from, to)) {
      Transposition.convert(execution, from, to);
    }
  }

  @Override
  public void rowDots(Tensor a, Tensor b, Tensor out) {
    Rows.dots(execution, Rows.columns("a", a), Rows.columns("b", b), Rows.columns("out", out));
  }

  @Override
  public void replaceRows(Tensor challenger, Tensor incumbent, Tensor from, Tensor to) {
    int[] rows =
        Rows.below(Rows.columns("challenger", challenger), Rows.columns("incumbent", incumbent));
    Rows.copy(execution, rows, Rows.columns("from", from), Rows.columns("to", to));
  }

  private static void add(Tensor total, double value) {
    Matrix t = Matrix.of(total);
    long at = t.offset() * Double.BYTES;
    double old = t.segment().get(ValueLayout.JAVA_DOUBLE_UNALIGNED, at);
    t.segment().set(ValueLayout.JAVA_DOUBLE_UNALIGNED, at, old + value);
  }
}
