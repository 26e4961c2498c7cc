package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;

/** Checks arguments, then delegates. */
record CheckedLinearAlgebra(LinearAlgebra delegate) implements LinearAlgebra {

  @Override
  public void gemm(float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    Shapes.of("gemm")
        .real("a", a)
        .type("b", b, a.type())
        .shape("b", b, a.columns(), b.columns())
        .shape("c", c, a.rows(), b.columns())
        .that(c.type() == DType.F32 || c.type() == a.type(), "c must be F32 or of a's type");
    delegate.gemm(alpha, a, b, beta, c);
  }

  @Override
  public void gemmBatch(int count, float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    int rows = own(a.rows(), count, a.layout() == Layout.ROW_MAJOR);
    int columns = own(b.columns(), count, b.layout() == Layout.COLUMN_MAJOR);
    int inner = own(a.columns(), count, a.layout() == Layout.COLUMN_MAJOR);
    Shapes.of("gemmBatch")
        .that(count > 0, "there must be a part")
        .real("a", a)
        .type("b", b, a.type())
        .parts("a", a, count, rows, inner)
        .parts("b", b, count, inner, columns)
        .parts("c", c, count, rows, columns)
        .that(c.type() == DType.F32 || c.type() == a.type(), "c must be F32 or of a's type");
    delegate.gemmBatch(count, alpha, a, b, beta, c);
  }

  /** Of a part, where parts divide what they are in. */
  private static int own(int size, int count, boolean divided) {
    return divided && count > 0 ? size / count : size;
  }

  @Override
  public void accumulateGram(float weight, Tensor x, Tensor h) {
    Shapes.of("accumulateGram")
        .real("x", x)
        .rowMajor("x", x)
        .type("h", h, DType.F32)
        .rowMajor("h", h)
        .shape("h", h, x.columns(), x.columns());
    delegate.accumulateGram(weight, x, h);
  }

  @Override
  public void symmetrize(Tensor h) {
    Shapes.of("symmetrize").type("h", h, DType.F32).square("h", h);
    delegate.symmetrize(h);
  }

  @Override
  public void diagonal(Tensor h, Tensor d) {
    Shapes.of("diagonal").type("h", h, DType.F32).square("h", h).row("d", d, DType.F32, h.rows());
    delegate.diagonal(h, d);
  }

  @Override
  public void addToDiagonal(Tensor d, Tensor h) {
    Shapes.of("addToDiagonal")
        .type("h", h, DType.F32)
        .square("h", h)
        .row("d", d, DType.F32, h.rows());
    delegate.addToDiagonal(d, h);
  }

  @Override
  public void gatherColumns(Tensor src, Tensor index, Tensor dst) {
    Shapes.of("gatherColumns")
        .that(
            src.type() == DType.F32 || src.type() == DType.I32 || src.type() == DType.U8,
            "src must be F32, I32 or U8")
        .type("dst", dst, src.type())
        .shape("dst", dst, src.rows(), dst.columns())
        .index("index", index, dst.columns());
    delegate.gatherColumns(src, index, dst);
  }

  @Override
  public void gatherSymmetric(Tensor h, Tensor index, Tensor dst) {
    Shapes.of("gatherSymmetric")
        .type("h", h, DType.F32)
        .square("h", h)
        .type("dst", dst, DType.F32)
        .shape("dst", dst, h.rows(), h.rows())
        .index("index", index, h.rows());
    delegate.gatherSymmetric(h, index, dst);
  }

  @Override
  public void zeroColumns(Tensor index, Tensor w) {
    Shapes.of("zeroColumns").type("w", w, DType.F32).index("index", index, index.columns());
    delegate.zeroColumns(index, w);
  }

  @Override
  public void cholesky(Tensor h) {
    Shapes.of("cholesky").type("h", h, DType.F32).square("h", h).rowMajor("h", h);
    delegate.cholesky(h);
  }

  @Override
  public void invertDiagonalBlocks(Tensor v, Tensor u) {
    Shapes.of("invertDiagonalBlocks")
        .type("v", v, DType.F32)
        .square("v", v)
        .type("u", u, DType.F32)
        .rowMajor("u", u)
        .shape("u", u, v.rows(), u.columns())
        .that(
            u.columns() > 0 && u.columns() <= v.rows(),
            "u must have between 1 and " + v.rows() + " columns");
    delegate.invertDiagonalBlocks(v, u);
  }

  @Override
  public void addSumOfSquares(Tensor x, Tensor total) {
    Shapes.of("addSumOfSquares").type("x", x, DType.F32).scalar("total", total);
    delegate.addSumOfSquares(x, total);
  }

  @Override
  public void addTraceQuadratic(Tensor a, Tensor h, Tensor total) {
    Shapes.of("addTraceQuadratic")
        .type("a", a, DType.F32)
        .type("h", h, DType.F32)
        .shape("h", h, a.columns(), a.columns())
        .scalar("total", total);
    delegate.addTraceQuadratic(a, h, total);
  }

  @Override
  public void addNonFiniteCount(Tensor x, Tensor total) {
    Shapes.of("addNonFiniteCount").real("x", x).scalar("total", total);
    delegate.addNonFiniteCount(x, total);
  }

  @Override
  public void rowDots(Tensor a, Tensor b, Tensor out) {
    Shapes.of("rowDots")
        .type("a", a, DType.F32)
        .columnMajor("a", a)
        .type("b", b, DType.F32)
        .columnMajor("b", b)
        .shape("b", b, a.rows(), a.columns())
        .type("out", out, DType.F32)
        .columnMajor("out", out)
        .shape("out", out, a.rows(), out.columns())
        .that(
            out.columns() > 0 && a.columns() % out.columns() == 0,
            "out's columns must divide those of a");
    delegate.rowDots(a, b, out);
  }

  @Override
  public void replaceRows(Tensor challenger, Tensor incumbent, Tensor from, Tensor to) {
    Shapes.of("replaceRows")
        .type("challenger", challenger, DType.F32)
        .columnMajor("challenger", challenger)
        .shape("challenger", challenger, from.rows(), 1)
        .type("incumbent", incumbent, DType.F32)
        .columnMajor("incumbent", incumbent)
        .shape("incumbent", incumbent, from.rows(), 1)
        .that(from.type() == DType.F32 || from.type() == DType.U8, "from must be F32 or U8")
        .columnMajor("from", from)
        .type("to", to, from.type())
        .columnMajor("to", to)
        .shape("to", to, from.rows(), from.columns());
    delegate.replaceRows(challenger, incumbent, from, to);
  }

  @Override
  public void axpy(float alpha, Tensor x, Tensor y) {
    Shapes.of("axpy").real("x", x).type("y", y, x.type()).shape("y", y, x.rows(), x.columns());
    delegate.axpy(alpha, x, y);
  }

  @Override
  public void convert(Tensor src, Tensor dst) {
    Shapes.of("convert")
        .real("src", src)
        .real("dst", dst)
        .shape("dst", dst, src.rows(), src.columns());
    delegate.convert(src, dst);
  }
}
