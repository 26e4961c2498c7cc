package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableBiMap;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * How models of one type stand in a GGUF file: what belongs together under which names, and what
 * llama.cpp takes for granted about the architecture.
 *
 * @param modelType {@code model_type} in {@code config.json}
 * @param modelClass its class in transformers
 * @param architecture its name in a file, with which keys begin
 * @param pairsNeighbours whether the two channels of queries and keys that turn together lie side
 *     by side in the file, and half a head apart in the checkpoint
 * @param normsPlusOne whether a file stores the gains of norms plus one
 * @param modules names below a block: in the checkpoint, and in the file below {@code blk.N}
 * @param experts what begins the names of experts in a checkpoint; empty if there are none
 * @param expertModules names behind the number of an expert, and those of the file
 * @param settings what is copied between {@code config.json} and a file
 * @param fixed what a file cannot say
 * @param biases switches of {@code config.json} that follow from tensors of the file
 * @param windows 0 if all layers see all positions; else every so manieth does and others have a
 *     window
 * @param localRope 0 if all layers are rotated alike; else every so manieth has frequencies of its
 *     own
 * @param unrotated 0 if all layers are rotated; else every so manieth is not
 * @param ownHead whether a file has an output layer even where it is the embedding
 */
public record GgufFamily(
    String modelType,
    String modelClass,
    String architecture,
    boolean pairsNeighbours,
    boolean normsPlusOne,
    ImmutableBiMap<String, String> modules,
    String experts,
    ImmutableBiMap<String, String> expertModules,
    ImmutableList<Setting> settings,
    ImmutableList<Fixed> fixed,
    ImmutableMap<String, String> biases,
    int windows,
    int localRope,
    int unrotated,
    boolean ownHead) {

  /**
   * A number under a key of a file, behind the name of the architecture and a dot, and under a key
   * of {@code config.json}.
   *
   * @param whole whether it is an integer
   * @param fallback what stands in a file where a configuration does not say it
   */
  public record Setting(String key, String name, boolean whole, OptionalDouble fallback) {}

  /**
   * What llama.cpp takes for granted: the one value that a key of {@code config.json} may have.
   *
   * @param absent what a configuration means that does not have the key
   */
  public record Fixed(String name, Object value, Object absent) {}

  /** Names outside of blocks: in the checkpoint, and in the file. */
  public static final ImmutableBiMap<String, String> ENDS =
      ImmutableBiMap.of(
          "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output");

  /** What begins the name of a block in a checkpoint. */
  public static final String LAYERS = "model.layers.";

  /** What begins the name of a block in a file. */
  public static final String BLOCKS = "blk.";

  static Builder of(String modelType, String modelClass, String architecture) {
    return new Builder(modelType, modelClass, architecture);
  }

  /** Collects what is known. */
  static final class Builder {
    private final String modelType;
    private final String modelClass;
    private final String architecture;
    private boolean pairsNeighbours;
    private boolean normsPlusOne;
    private final Map<String, String> modules = new HashMap<>();
    private String experts = "";
    private final Map<String, String> expertModules = new HashMap<>();
    private final ImmutableList.Builder<Setting> settings = ImmutableList.builder();
    private final ImmutableList.Builder<Fixed> fixed = ImmutableList.builder();
    private final ImmutableMap.Builder<String, String> biases = ImmutableMap.builder();
    private int windows;
    private int localRope;
    private int unrotated;
    private boolean ownHead;

    private Builder(String modelType, String modelClass, String architecture) {
      this.modelType = modelType;
      this.modelClass = modelClass;
      this.architecture = architecture;
    }

    Builder pairsNeighbours() {
      pairsNeighbours = true;
      return this;
    }

    Builder normsPlusOne() {
      normsPlusOne = true;
      return this;
    }

    /** Pairs of names: in the checkpoint, in the file. */
    Builder modules(String... pairs) {
      for (int i = 0; i < pairs.length; i += 2) {
        modules.put(pairs[i], pairs[i + 1]);
      }
      return this;
    }

    Builder without(String... names) {
      for (String name : names) {
        modules.remove(name);
      }
      return this;
    }

    /** The prefix of experts in a checkpoint, and their gate, up and down projections. */
    Builder experts(String prefix, String gate, String up, String down) {
      experts = prefix;
      expertModules.put(gate, "ffn_gate_exps");
      expertModules.put(up, "ffn_up_exps");
      expertModules.put(down, "ffn_down_exps");
      return this;
    }

    Builder whole(String key, String name) {
      settings.add(new Setting(key, name, true, OptionalDouble.empty()));
      return this;
    }

    Builder real(String key, String name) {
      settings.add(new Setting(key, name, false, OptionalDouble.empty()));
      return this;
    }

    Builder real(String key, String name, double fallback) {
      settings.add(new Setting(key, name, false, OptionalDouble.of(fallback)));
      return this;
    }

    Builder fixed(String name, Object value, Object absent) {
      fixed.add(new Fixed(name, value, absent));
      return this;
    }

    /** A switch that is on where the first block has a tensor, named as in the file. */
    Builder bias(String name, String tensor) {
      biases.put(name, tensor);
      return this;
    }

    Builder windows(int period) {
      windows = period;
      return this;
    }

    Builder localRope(int period) {
      localRope = period;
      return this;
    }

    Builder unrotated(int period) {
      unrotated = period;
      return this;
    }

    Builder ownHead() {
      ownHead = true;
      return this;
    }

    GgufFamily build() {
      return new GgufFamily(
          modelType,
          modelClass,
          architecture,
          pairsNeighbours,
          normsPlusOne,
          ImmutableBiMap.copyOf(modules),
          experts,
          ImmutableBiMap.copyOf(expertModules),
          settings.build(),
          fixed.build(),
          biases.buildOrThrow(),
          windows,
          localRope,
          unrotated,
          ownHead);
    }
  }
}
