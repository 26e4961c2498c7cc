package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import java.util.Arrays;
import java.util.Collections;
import java.util.Optional;

/**
 * The factors of Falcon-H1, by which a checkpoint multiplies activations, and a file the rows of
 * the matrices that they come from or go to. A file is read as a checkpoint without factors.
 */
public final class Multipliers {
  private static final String TYPE = "falcon_h1";

  private final ImmutableMap<String, float[]> rows;

  private Multipliers(ImmutableMap<String, float[]> rows) {
    this.rows = rows;
  }

  /** Those of a model: none unless it is a Falcon-H1. */
  public static Multipliers of(ModelConfig config, DecoderSpec spec) {
    Optional<StateShape> state = StateShape.of(spec);
    if (!config.modelType().equals(TYPE) || state.isEmpty()) {
      return new Multipliers(ImmutableMap.of());
    }
    double in = config.doubleValue("attention_in_multiplier", 1);
    ImmutableList<Double> mlp = list(config, "mlp_multipliers", 2);
    ImmutableMap.Builder<String, float[]> rows = ImmutableMap.builder();
    one(rows, "token_embd", config.doubleValue("embedding_multiplier", 1));
    one(rows, "output", config.doubleValue("lm_head_multiplier", 1));
    one(rows, "attn_q", in);
    one(rows, "attn_k", in * config.doubleValue("key_multiplier", 1));
    one(rows, "attn_v", in);
    one(rows, "attn_output", config.doubleValue("attention_out_multiplier", 1));
    one(rows, "ffn_gate", mlp.get(0));
    one(rows, "ffn_down", mlp.get(1));
    one(rows, "ssm_out", config.doubleValue("ssm_out_multiplier", 1));
    rows.put(
        "ssm_in",
        projected(
            state.get(),
            config.doubleValue("ssm_in_multiplier", 1),
            list(config, "ssm_multipliers", 5)));
    return new Multipliers(rows.buildOrThrow());
  }

  private static void one(ImmutableMap.Builder<String, float[]> rows, String stem, double factor) {
    rows.put(stem, new float[] {(float) factor});
  }

  private static ImmutableList<Double> list(ModelConfig config, String key, int size) {
    ImmutableList<Double> list = config.doubleList(key);
    return list.isEmpty() ? ImmutableList.copyOf(Collections.nCopies(size, 1.0)) : list;
  }

  /** Gates, values, keys, queries and lengths of steps. */
  private static float[] projected(StateShape state, double in, ImmutableList<Double> factors) {
    int keys = state.groups() * state.keySize();
    int[] sizes = {state.inner(), state.inner(), keys, keys, state.heads()};
    float[] rows = new float[Arrays.stream(sizes).sum()];
    int from = 0;
    for (int i = 0; i < sizes.length; i++) {
      Arrays.fill(rows, from, from + sizes[i], (float) (in * factors.get(i)));
      from += sizes[i];
    }
    return rows;
  }

  /** Whether the rows of a matrix, named as in the file below a block, are multiplied. */
  public boolean has(String stem) {
    return rows.containsKey(stem) && !isOne(rows.get(stem));
  }

  private static boolean isOne(float[] factors) {
    for (float factor : factors) {
      if (factor != 1) {
        return false;
      }
    }
    return true;
  }

  /** By what a row of a matrix is multiplied that {@link #has} says it of. */
  public float factor(String stem, int row) {
    float[] factors = rows.get(stem);
    return factors.length == 1 ? factors[0] : factors[row];
  }
}
