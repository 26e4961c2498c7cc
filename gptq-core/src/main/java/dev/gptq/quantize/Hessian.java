package dev.gptq.quantize;

import com.google.common.base.Preconditions;
import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * The Hessian of a layer's output error, {@code H = Σ x·xᵀ} over the calibration tokens x that
 * reach the layer. The paper's {@code 2XXᵀ} differs by a factor, which neither codes nor damping
 * feel. Layers that read the same input share one.
 */
public final class Hessian {
  private final Backend backend;
  private final Tensor matrix;

  /** What holds the matrix and nothing else, if that is this Hessian's own. */
  private final Optional<TensorScope> own;

  private long tokens;
  private boolean symmetric = true;

  /** The diagonal, once it was read; empty before, and when something was added since. */
  private float[] diagonal = {};

  /** An empty sum for inputs of {@code columns} features, in the memory of {@code scope}. */
  public Hessian(Backend backend, TensorScope scope, int columns) {
    this(backend, columns, scope.child());
  }

  /**
   * A sum that was taken before.
   *
   * @param matrix F32, columns × columns, both triangles
   * @param tokens number of tokens in it
   */
  public static Hessian of(Backend backend, Tensor matrix, long tokens) {
    return new Hessian(backend, matrix, tokens, Optional.empty());
  }

  private Hessian(Backend backend, int columns, TensorScope own) {
    this(backend, own.zeros(DType.F32, columns, columns, Layout.ROW_MAJOR), 0, Optional.of(own));
  }

  private Hessian(Backend backend, Tensor matrix, long tokens, Optional<TensorScope> own) {
    this.backend = backend;
    this.matrix = matrix;
    this.tokens = tokens;
    this.own = own;
  }

  /**
   * The same sum, for work of another lane of its backend; the caller has waited for this one's
   * {@link #matrix}.
   */
  public Hessian on(Backend lane) {
    Preconditions.checkState(symmetric, "matrix() was not called");
    return new Hessian(lane, matrix, tokens, lane.equals(backend) ? own : Optional.empty());
  }

  /** The same sum in other memory, for work of a backend or a lane of it. */
  Hessian copy(Backend lane, TensorScope scope) {
    Tensor copy = scope.rowMajor(DType.F32, columns(), columns());
    lane.linalg().convert(matrix(), copy);
    Hessian same = new Hessian(lane, copy, tokens, Optional.empty());
    same.diagonal = diagonal;
    return same;
  }

  /**
   * Gives the matrix back before its scope is closed, unless a lane asks, which cannot: what it
   * holds is of no use any more.
   */
  void release(Backend lane) {
    if (lane.equals(backend)) {
      own.ifPresent(TensorScope::close);
    }
  }

  /** Adds the rows of x, tokens × columns. */
  public void add(Tensor x) {
    backend.linalg().accumulateGram(1, x, matrix);
    tokens += x.rows();
    symmetric = false;
    diagonal = new float[0];
  }

  /**
   * Adds another sum.
   *
   * @param elsewhere whether it lies on another device, which was waited for
   */
  public void add(Hessian other, boolean elsewhere) {
    add(backend, other.matrix, elsewhere, matrix);
    tokens += other.tokens;
    symmetric = false;
    diagonal = new float[0];
  }

  /** Adds a tensor of the same shape, perhaps of another device. */
  static void add(Backend backend, Tensor other, boolean elsewhere, Tensor sum) {
    try (TensorScope local = backend.newScope()) {
      Tensor here = other;
      if (elsewhere) {
        here = local.allocate(sum.type(), sum.rows(), sum.columns(), sum.layout());
        backend.receive(other, here);
      }
      backend.linalg().axpy(1, here, sum);
    }
  }

  /** Number of tokens added. */
  public long tokens() {
    return tokens;
  }

  /** Number of input features. */
  public int columns() {
    return matrix.columns();
  }

  /** H, both triangles, undamped. */
  public Tensor matrix() {
    if (!symmetric) {
      backend.linalg().symmetrize(matrix);
      symmetric = true;
    }
    return matrix;
  }

  /** The diagonal of H, on the host; waits for all queued work, unless it was waited for before. */
  public float[] diagonal() {
    awaitDiagonal();
    return diagonal.clone();
  }

  /**
   * Brings the diagonal to the host now, so that it need not wait for work that is queued later.
   */
  public void awaitDiagonal() {
    if (diagonal.length == 0) {
      try (TensorScope local = backend.newScope()) {
        Tensor row = local.rowMajor(DType.F32, 1, columns());
        backend.linalg().diagonal(matrix(), row);
        diagonal = HostCopies.floats(row);
      }
    }
  }

  /** The mean over tokens of the square of each feature, {@code H_ii / tokens}. */
  public float[] meanSquares() {
    Preconditions.checkState(tokens > 0, "no calibration tokens were added");
    float[] means = diagonal();
    for (int i = 0; i < means.length; i++) {
      means[i] /= tokens;
    }
    return means;
  }

  /** {@code tr(A·H·Aᵀ) / tokens}: the mean over tokens of {@code ‖A·x‖²}. */
  public double meanSquaredOutput(Tensor a) {
    try (TensorScope local = backend.newScope()) {
      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      addSquaredOutput(a, total);
      return HostCopies.scalar(total) / tokens;
    }
  }

  /** Adds {@code tr(A·H·Aᵀ)}, the sum over tokens of {@code ‖A·x‖²}, to total, 1 × 1 of F64. */
  public void addSquaredOutput(Tensor a, Tensor total) {
    Preconditions.checkState(tokens > 0, "no calibration tokens were added");
    backend.linalg().addTraceQuadratic(a, matrix(), total);
  }
}
