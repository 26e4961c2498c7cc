package dev.gptq.backend;

import com.google.common.base.Preconditions;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** Checks arguments, then delegates. */
record CheckedQuantizationOps(QuantizationOps delegate) implements QuantizationOps {

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    checkFit(Shapes.of("fitGrid"), w, scale, zero)
        .that(!spec.search().needsHessian(), "the search must be MIN_MAX or MSE");
    delegate.fitGrid(w, spec, scale, zero);
  }

  @Override
  public void fitGroups(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    int groups = scale.columns();
    checkFit(Shapes.of("fitGroups"), w, scale, zero, groups)
        .that(groups > 0 && w.columns() % groups == 0, "the groups must divide the columns of w")
        .that(!spec.search().needsHessian(), "the search must be MIN_MAX or MSE");
    delegate.fitGroups(w, spec, scale, zero);
  }

  @Override
  public void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero) {
    checkFit(Shapes.of("candidateGrid"), w, scale, zero);
    delegate.candidateGrid(w, spec, shrink, zeroShift, scale, zero);
  }

  @Override
  public void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero) {
    checkFit(Shapes.of("fitGridWeighted"), w, scale, zero)
        .row("weight", weight, DType.F32, w.columns());
    delegate.fitGridWeighted(w, weight, spec, ladder, scale, zero);
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    checkGrid(Shapes.of("quantizeBlock"), w, grid, codes)
        .columnMajor("w", w)
        .type("u", u, DType.F32)
        .rowMajor("u", u)
        .shape("u", u, w.columns(), w.columns());
    delegate.quantizeBlock(w, u, grid, codes);
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    checkGrid(Shapes.of("quantizeNearest"), w, grid, codes).columnMajor("w", w);
    delegate.quantizeNearest(w, grid, codes);
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    checkGrid(Shapes.of("dequantize"), w, grid, codes);
    delegate.dequantize(codes, grid, w);
  }

  @Override
  public void subtract(Tensor w, Tensor codes, Grid grid, Tensor difference) {
    checkGrid(Shapes.of("subtract"), w, grid, codes)
        .columnMajor("w", w)
        .type("difference", difference, DType.F32)
        .columnMajor("difference", difference)
        .shape("difference", difference, w.rows(), w.columns());
    delegate.subtract(w, codes, grid, difference);
  }

  @Override
  public void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source) {
    int rows = grid.scale().rows();
    int paths = cost.columns();
    Shapes.of("beamBlock")
        .type("w", w, DType.F32)
        .columnMajor("w", w)
        .shape("w", w, rows * paths, u.columns())
        .type("cost", cost, DType.F32)
        .columnMajor("cost", cost)
        .shape("cost", cost, rows, paths)
        .that(paths > 0, "cost must have a column for each path")
        .type("u", u, DType.F32)
        .rowMajor("u", u)
        .square("u", u)
        .type("codes", codes, DType.U8)
        .columnMajor("codes", codes)
        .shape("codes", codes, w.rows(), w.columns())
        .type("scale", grid.scale(), DType.F32)
        .columnMajor("scale", grid.scale())
        .type("zero", grid.zero(), DType.F32)
        .columnMajor("zero", grid.zero())
        .shape("zero", grid.zero(), rows, grid.groups())
        .index("groupOf", grid.groupOf(), w.columns())
        .index("source", source, w.rows());
    delegate.beamBlock(w, cost, u, grid, codes, source);
  }

  @Override
  public void keepDescendants(Tensor origin, Tensor cost) {
    Shapes.of("keepDescendants")
        .type("cost", cost, DType.F32)
        .columnMajor("cost", cost)
        .index("origin", origin, cost.rows() * cost.columns());
    delegate.keepDescendants(origin, cost);
  }

  @Override
  public void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta) {
    checkGrid(Shapes.of("descendBlock"), gradient, grid, codes)
        .columnMajor("gradient", gradient)
        .type("h", h, DType.F32)
        .rowMajor("h", h)
        .shape("h", h, gradient.columns(), gradient.columns())
        .type("delta", delta, DType.F32)
        .columnMajor("delta", delta)
        .shape("delta", delta, gradient.rows(), gradient.columns());
    delegate.descendBlock(gradient, h, grid, codes, delta);
  }

  @Override
  public void refitSystem(
      Tensor steps, Tensor difference, Tensor h, Tensor normal, Tensor gradient) {
    int columns = steps.columns();
    int groups = gradient.columns();
    Preconditions.checkArgument(
        groups > 0 && columns % groups == 0,
        "refitSystem: %s columns are no %s groups",
        columns,
        groups);
    Shapes shapes =
        Shapes.of("refitSystem")
            .type("steps", steps, DType.F32)
            .columnMajor("steps", steps)
            .type("difference", difference, DType.F32)
            .columnMajor("difference", difference)
            .shape("difference", difference, steps.rows(), columns)
            .type("h", h, DType.F32)
            .rowMajor("h", h)
            .shape("h", h, columns, columns);
    checkSystem(shapes, normal, gradient, steps.rows(), groups);
    delegate.refitSystem(steps, difference, h, normal, gradient);
  }

  @Override
  public void refitScales(
      Tensor normal, Tensor gradient, GridSpec spec, Tensor scale, Tensor change) {
    Shapes shapes =
        Shapes.of("refitScales")
            .type("change", change, DType.F32)
            .columnMajor("change", change)
            .shape("change", change, scale.rows(), 1)
            .type("scale", scale, DType.F32)
            .columnMajor("scale", scale);
    checkSystem(shapes, normal, gradient, scale.rows(), scale.columns());
    delegate.refitScales(normal, gradient, spec, scale, change);
  }

  private static void checkSystem(
      Shapes shapes, Tensor normal, Tensor gradient, int rows, int groups) {
    shapes
        .type("normal", normal, DType.F32)
        .columnMajor("normal", normal)
        .shape("normal", normal, rows, groups * (groups + 1) / 2)
        .type("gradient", gradient, DType.F32)
        .columnMajor("gradient", gradient)
        .shape("gradient", gradient, rows, groups);
  }

  private static Shapes checkFit(Shapes shapes, Tensor w, Tensor scale, Tensor zero) {
    return checkFit(shapes, w, scale, zero, 1);
  }

  private static Shapes checkFit(Shapes shapes, Tensor w, Tensor scale, Tensor zero, int groups) {
    return shapes
        .type("w", w, DType.F32)
        .columnMajor("w", w)
        .type("scale", scale, DType.F32)
        .columnMajor("scale", scale)
        .shape("scale", scale, w.rows(), groups)
        .type("zero", zero, DType.F32)
        .columnMajor("zero", zero)
        .shape("zero", zero, w.rows(), groups);
  }

  private static Shapes checkGrid(Shapes shapes, Tensor w, Grid grid, Tensor codes) {
    return shapes
        .type("w", w, DType.F32)
        .type("codes", codes, DType.U8)
        .columnMajor("codes", codes)
        .shape("codes", codes, w.rows(), w.columns())
        .type("scale", grid.scale(), DType.F32)
        .columnMajor("scale", grid.scale())
        .shape("scale", grid.scale(), w.rows(), grid.groups())
        .type("zero", grid.zero(), DType.F32)
        .columnMajor("zero", grid.zero())
        .shape("zero", grid.zero(), w.rows(), grid.groups())
        .index("groupOf", grid.groupOf(), w.columns());
  }
}
