package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * {@code X ← X·(H + λI)⁻¹ = X·V⁻ᵀ·V⁻¹}: two triangular solves, by halves, so that nearly all of it
 * is products of half of what is left.
 *
 * @param v the factor
 * @param u the inverses of its diagonal blocks
 */
record FactorSolve(Backend backend, Tensor v, Tensor u) {
  private static final int BLOCK = 128;

  static FactorSolve of(Backend backend, HessianFactor factor, TensorScope scope) {
    int n = factor.v().rows();
    Tensor u = scope.rowMajor(DType.F32, n, Math.min(n, BLOCK));
    backend.linalg().invertDiagonalBlocks(factor.v(), u);
    return new FactorSolve(backend, factor.v(), u);
  }

  /** Solves for all rows of x, in place. */
  void run(Tensor x) {
    byTransposed(x, 0, x.columns());
    byFactor(x, 0, x.columns());
  }

  /** {@code X ← X·V⁻ᵀ}: Y with {@code Y·Vᵀ = X}, the last columns first. */
  private void byTransposed(Tensor x, int from, int to) {
    if (to - from <= u.columns()) {
      multiply(x.columns(from, to), u.rows(from, to).columns(0, to - from).transposed());
      return;
    }
    int middle = ColumnLoop.middle(from, to, u.columns());
    byTransposed(x, middle, to);
    Tensor right = v.rows(from, middle).columns(middle, to);
    backend
        .linalg()
        .gemm(-1, x.columns(middle, to), right.transposed(), 1, x.columns(from, middle));
    byTransposed(x, from, middle);
  }

  /** {@code X ← X·V⁻¹}: Y with {@code Y·V = X}, the first columns first. */
  private void byFactor(Tensor x, int from, int to) {
    if (to - from <= u.columns()) {
      multiply(x.columns(from, to), u.rows(from, to).columns(0, to - from));
      return;
    }
    int middle = ColumnLoop.middle(from, to, u.columns());
    byFactor(x, from, middle);
    Tensor right = v.rows(from, middle).columns(middle, to);
    backend.linalg().gemm(-1, x.columns(from, middle), right, 1, x.columns(middle, to));
    byFactor(x, middle, to);
  }

  /** {@code X ← X·B}. */
  private void multiply(Tensor x, Tensor b) {
    try (TensorScope local = backend.newScope()) {
      Tensor product = local.columnMajor(DType.F32, x.rows(), x.columns());
      backend.linalg().gemm(1, x, b, 0, product);
      backend.linalg().convert(product, x);
    }
  }
}
