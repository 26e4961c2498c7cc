package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * What another program found about the inputs of modules: the mean square of each column, which is
 * the diagonal of a Hessian. Nothing is known of how columns go together, so codes are the nearest
 * and scales are fitted by what an error of each column costs.
 */
public final class Importance {
  /**
   * Tokens that Hessians are said to be of: many, so that they are not damped for want of them, and
   * a power of two, so that means keep their bits. How many there were says how far correlations
   * can be trusted, and here are none; the two forms of a file say it differently.
   */
  private static final long AS_IF_OF = 1 << 22;

  private final ImmutableMap<String, Columns> modules;
  private final String digest;

  /** What is known of a module. */
  public static final class Columns {
    private final float[] means;
    private final long tokens;

    /**
     * Takes the array as it is.
     *
     * @param means of the squares of its inputs
     * @param tokens that they are of
     */
    public Columns(float[] means, long tokens) {
      this.means = means;
      this.tokens = tokens;
    }

    /** The means of the squares of its inputs; not to be changed. */
    public float[] means() {
      return means;
    }

    /** The tokens that they are of. */
    public long tokens() {
      return tokens;
    }
  }

  /** Of modules by their full names. */
  public Importance(ImmutableMap<String, Columns> modules) {
    this.modules = modules;
    Hasher hasher = Hashing.sha256().newHasher();
    modules.forEach((name, columns) -> {
      hasher.putString(name, StandardCharsets.UTF_8).putBoolean(columns.tokens() > 0);
      for (float mean : columns.means()) {
        hasher.putFloat(mean);
      }
    });
    this.digest = hasher.hash().toString();
  }

  /** The tokens that reached a module. */
  long tokens(String module) {
    Columns columns = modules.get(module);
    return columns == null ? 0 : columns.tokens();
  }

  /** The Hessian of a module, if any token reached it, as if of very many. */
  Optional<Hessian> hessian(String module, Backend backend, TensorScope scope) {
    if (tokens(module) == 0) {
      return Optional.empty();
    }
    float[] diagonal = modules.get(module).means().clone();
    for (int i = 0; i < diagonal.length; i++) {
      diagonal[i] *= AS_IF_OF;
    }
    Tensor matrix = scope.zeros(DType.F32, diagonal.length, diagonal.length, Layout.ROW_MAJOR);
    try (TensorScope local = backend.newScope()) {
      backend.linalg().addToDiagonal(local.upload(diagonal), matrix);
    }
    return Optional.of(Hessian.of(backend, matrix, AS_IF_OF));
  }

  /** Bytes of numbers that it holds in Java's heap. */
  public long bytes() {
    return modules.values().stream()
        .mapToLong(columns -> (long) columns.means().length * Float.BYTES)
        .sum();
  }

  /** What decides results. */
  @Override
  public String toString() {
    return "sha-256 " + digest;
  }
}
