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
      hasher.putString(name, StandardCharsets.UTF_8).putLong(columns.tokens());
      for (float mean : columns.means()) {
        hasher.putFloat(mean);
      }
    });
    this.digest = hasher.hash().toString();
  }

  /** The Hessian of a module, if any token reached it. */
  Optional<Hessian> hessian(String module, Backend backend, TensorScope scope) {
    Columns columns = modules.get(module);
    if (columns == null || columns.tokens() == 0) {
      return Optional.empty();
    }
    float[] diagonal = columns.means().clone();
    for (int i = 0; i < diagonal.length; i++) {
      diagonal[i] *= columns.tokens();
    }
    Tensor matrix = scope.zeros(DType.F32, diagonal.length, diagonal.length, Layout.ROW_MAJOR);
    try (TensorScope local = backend.newScope()) {
      backend.linalg().addToDiagonal(local.upload(diagonal), matrix);
    }
    return Optional.of(Hessian.of(backend, matrix, columns.tokens()));
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
