package dev.gptq.models.forward;

import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * Which tokens of a batch go to which expert, in the memory of a backend too. They are brought
 * there together: experts are many, and each has a piece of these.
 */
final class RoutedRows implements AutoCloseable {
  private final Routes routes;
  private final TensorScope scope;

  /** The first row of each expert. */
  private final int[] first;

  private final Tensor tokens;
  private final Tensor weights;

  /** Brings routes into a scope, which closes with this. */
  RoutedRows(Routes routes, TensorScope scope) {
    this.routes = routes;
    this.scope = scope;
    int experts = routes.experts().size();
    this.first = new int[experts + 1];
    for (int e = 0; e < experts; e++) {
      first[e + 1] = first[e] + routes.experts().get(e).tokens().length();
    }
    int[] rows = new int[first[experts]];
    float[] factors = new float[rows.length];
    for (int e = 0; e < experts; e++) {
      Routes.Expert own = routes.experts().get(e);
      System.arraycopy(own.tokens().toArray(), 0, rows, first[e], own.tokens().length());
      System.arraycopy(own.factors(), 0, factors, first[e], own.tokens().length());
    }
    this.tokens = scope.upload(rows);
    this.weights = scope.upload(factors);
  }

  /** On the host. */
  Routes routes() {
    return routes;
  }

  /** The tokens of an expert, I32, 1 × its rows. */
  Tensor tokens(int expert) {
    return tokens.columns(first[expert], first[expert + 1]);
  }

  /** What the outputs of an expert are multiplied by, F32, 1 × its rows. */
  Tensor weights(int expert) {
    return weights.columns(first[expert], first[expert + 1]);
  }

  @Override
  public void close() {
    scope.close();
  }
}
