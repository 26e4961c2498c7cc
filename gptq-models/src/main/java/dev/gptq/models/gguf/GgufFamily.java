package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableBiMap;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Range;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * How models of one type stand in a GGUF file: what belongs together under which names, and what
 * llama.cpp takes for granted about the architecture.
 *
 * @param modelType {@code model_type} in {@code config.json}
 * @param modelClass its class in transformers
 * @param architecture its name in a file, with which keys begin
 * @param traits what holds of it, or does not
 * @param layers what begins the name of a block in a checkpoint
 * @param ends names outside of blocks: in the checkpoint, and in the file
 * @param modules names below a block: in the checkpoint, and in the file below {@code blk.N}
 * @param tensors the same of tensors that are no weights or biases of modules, with their endings;
 *     a star stands for the numbers of several that are one in the file
 * @param experts what begins the names of experts in a checkpoint; empty if there are none
 * @param expertModules names behind the number of an expert, and those of the file
 * @param settings what is copied between {@code config.json} and a file
 * @param fixed what a file cannot say
 * @param constants whole numbers that a file says, behind the name of the architecture and a dot
 * @param switches those of {@code config.json} that follow from tensors of the file
 * @param windows 0 if all layers see all positions; else every so manieth does and others have a
 *     window
 * @param localRope 0 if all layers are rotated alike; else every so manieth has frequencies of its
 *     own
 * @param unrotated 0 if all layers are rotated; else every so manieth is not
 * @param blocks how many blocks those have that are of this kind
 * @param marker a tensor below a block, or a positive number behind the name of the architecture,
 *     by which files of this kind are known from others of the architecture; empty if there is none
 */
public record GgufFamily(
    String modelType,
    String modelClass,
    String architecture,
    ImmutableSet<Trait> traits,
    String layers,
    ImmutableBiMap<String, String> ends,
    ImmutableBiMap<String, String> modules,
    ImmutableBiMap<String, String> tensors,
    String experts,
    ImmutableBiMap<String, String> expertModules,
    ImmutableList<Setting> settings,
    ImmutableList<Fixed> fixed,
    ImmutableMap<String, Integer> constants,
    ImmutableList<Switch> switches,
    int windows,
    int localRope,
    int unrotated,
    Range<Integer> blocks,
    String marker) {

  /** What holds of some families. */
  public enum Trait {
    /**
     * The two channels of queries and keys that turn together lie side by side in the file, and
     * half a head apart in the checkpoint.
     */
    PAIRS_NEIGHBOURS,
    /** A file stores the gains of norms plus one. */
    NORMS_PLUS_ONE,
    /** A file has an output layer even where it is the embedding. */
    OWN_HEAD,
    /** Scores are scaled by {@code query_pre_attn_scalar}, which a file does not say. */
    QUERY_SCALAR,
    /** A configuration that does not say so rotates heads in part. */
    PARTLY_ROTATED,
    /** Heads have as many channels together as the model has features. */
    WHOLE_HEADS,
    /**
     * A configuration that does not say how wide heads are means a number, and a file the width of
     * the model over the heads.
     */
    STATED_HEADS,
    /** Layers with a window turn by the base of the others, and are not stretched. */
    ONE_BASE,
    /** Each frequency can be divided by a factor of its own. */
    ROPE_FACTORS,
    /** There are as many heads of keys and values as of queries. */
    SINGLE_KEYS,
    /** Rotary positions can be stretched as YaRN does. */
    YARN,
    /** YaRN interpolates between channels that are no whole numbers, which a file does not say. */
    FRACTIONAL_YARN,
    /** Blocks without heads of keys have something else in place of attention. */
    MIXED_BLOCKS,
    /** Each block is one thing: attention, a feed-forward network or experts, or something else. */
    SINGLE_PURPOSE,
    /** Every so manieth block has attention, and others something else; a file says the number. */
    INTERVAL,
    /**
     * Heads of values that share a head of keys lie one behind the other in a checkpoint, and in a
     * file the first of all keys before the second of all.
     */
    TILED_VALUES,
    /** Blocks of one model are rotated, of another not, and a file says which. */
    PERHAPS_ROTATED,
    /** Keys and values come from a latent; the matrix that makes them is two in a file. */
    LATENT,
    /** Queries may grow with their positions. */
    TEMPERED,
    /** A file lists which layers have a window; those without are not rotated. */
    LISTED_WINDOWS,
    /** Layers before those with experts are rotated also where they have no window. */
    ROTATED_DENSE,
    /** Each frequency can be divided by one factor in short texts and by another in long ones. */
    LONG_ROPE,
    /** Keys and values come from a latent, by one matrix. */
    WHOLE_LATENT,
    /** Rotated layers see chunks of 8192 positions, and queries of the others grow with theirs. */
    CHUNKED,
    /** Heads of layers with a window have another size, and layers may share keys: Gemma 4. */
    TWO_HEAD_SIZES,
    /** Positions have several parts, which are the same in texts; a file says of which channels. */
    SECTIONED
  }

  /** Kinds of settings. */
  public enum Kind {
    /** An integer. */
    WHOLE,
    /** A real number. */
    REAL,
    /** True or false. */
    TRUTH,
    /** The product of several integers of a configuration, of which the first is read. */
    PRODUCT,
    /** A number of each block, which is a tensor in a checkpoint and a list in a file. */
    NUMBERS
  }

  /**
   * A value under a key of a file, behind the name of the architecture and a dot, and under a key
   * of {@code config.json}. Numbers of blocks stand under the key alone, and under the name of a
   * tensor below a block.
   *
   * @param names keys of {@code config.json}, of which the first is written
   * @param kind what the value is
   * @param fallback what stands in a file where a configuration does not say it
   */
  public record Setting(
      String key, ImmutableList<String> names, Kind kind, Optional<Object> fallback) {
    /** The key of {@code config.json} that is written. */
    public String name() {
      return names.getFirst();
    }
  }

  /**
   * What llama.cpp takes for granted: the values that a key of {@code config.json} may have.
   *
   * @param values of which the first is what a file is read as
   * @param absent what a configuration means that does not have the key
   */
  public record Fixed(String name, ImmutableList<Object> values, Object absent) {}

  /**
   * A switch of {@code config.json}.
   *
   * @param tensor one below a block, named as in the file
   * @param there whether it is on where the first block has the tensor, or where it has not
   */
  public record Switch(String name, String tensor, boolean there) {}

  private static final ImmutableBiMap<String, String> ENDS =
      ImmutableBiMap.of(
          "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output");

  /**
   * The key of how many blocks are given what was seen, by which a file's input is so much wider.
   */
  public static final String DEEP = "n_deepstack_layers";

  /** What begins the name of a block in a file. */
  public static final String BLOCKS = "blk.";

  /** Those that are numbers of blocks. */
  public ImmutableList<Setting> numbers() {
    return settings.stream()
        .filter(setting -> setting.kind() == Kind.NUMBERS)
        .collect(ImmutableList.toImmutableList());
  }

  /** Whether a trait holds of it. */
  public boolean has(Trait trait) {
    return traits.contains(trait);
  }

  static Builder of(String modelType, String modelClass, String architecture) {
    return new Builder(modelType, modelClass, architecture);
  }

  /** Collects what is known. */
  static final class Builder {
    private final String modelType;
    private final String modelClass;
    private final String architecture;
    private final ImmutableSet.Builder<Trait> traits = ImmutableSet.builder();
    private String layers = "model.layers.";
    private ImmutableBiMap<String, String> ends = ENDS;
    private final Map<String, String> modules = new HashMap<>();
    private final Map<String, String> tensors = new HashMap<>();
    private String experts = "";
    private final Map<String, String> expertModules = new HashMap<>();
    private final Map<String, Setting> settings = new LinkedHashMap<>();
    private final ImmutableList.Builder<Fixed> fixed = ImmutableList.builder();
    private final ImmutableMap.Builder<String, Integer> constants = ImmutableMap.builder();
    private final ImmutableList.Builder<Switch> switches = ImmutableList.builder();
    private int windows;
    private int localRope;
    private int unrotated;
    private Range<Integer> blocks = Range.all();
    private String marker = "";

    private Builder(String modelType, String modelClass, String architecture) {
      this.modelType = modelType;
      this.modelClass = modelClass;
      this.architecture = architecture;
      if (architecture.equals("llama")) {
        traits.add(Trait.ROPE_FACTORS);
      }
    }

    Builder pairsNeighbours() {
      return trait(Trait.PAIRS_NEIGHBOURS);
    }

    Builder normsPlusOne() {
      return trait(Trait.NORMS_PLUS_ONE);
    }

    Builder trait(Trait trait) {
      traits.add(trait);
      return this;
    }

    /** What begins the name of a block in a checkpoint. */
    Builder layers(String prefix) {
      layers = prefix;
      return this;
    }

    /** Pairs of names outside of blocks: in the checkpoint, in the file. */
    Builder ends(String... pairs) {
      ImmutableBiMap.Builder<String, String> names = ImmutableBiMap.builder();
      for (int i = 0; i < pairs.length; i += 2) {
        names.put(pairs[i], pairs[i + 1]);
      }
      ends = names.buildOrThrow();
      return this;
    }

    /** Pairs of names: in the checkpoint, in the file. */
    Builder modules(String... pairs) {
      for (int i = 0; i < pairs.length; i += 2) {
        modules.put(pairs[i], pairs[i + 1]);
      }
      return this;
    }

    /** A name of a tensor that is no weight or bias of a module: in the checkpoint, in the file. */
    Builder tensor(String name, String inFile) {
      tensors.put(name, inFile);
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

    /** The prefix of experts without gates, and their projections. */
    Builder experts(String prefix, String up, String down) {
      experts = prefix;
      expertModules.put(up, "ffn_up_exps");
      expertModules.put(down, "ffn_down_exps");
      return this;
    }

    /** An integer, under the first of some names that a configuration has. */
    Builder whole(String key, String... names) {
      return setting(key, Kind.WHOLE, Optional.empty(), names);
    }

    Builder whole(String key, String name, int fallback) {
      return setting(key, Kind.WHOLE, Optional.of(fallback), name);
    }

    /** A number that is several of a configuration multiplied. */
    Builder product(String key, String... names) {
      return setting(key, Kind.PRODUCT, Optional.empty(), names);
    }

    /** A whole number that every file says. */
    Builder constant(String key, int value) {
      constants.put(key, value);
      return this;
    }

    Builder real(String key, String... names) {
      return setting(key, Kind.REAL, Optional.empty(), names);
    }

    Builder real(String key, String name, double fallback) {
      return real(key, fallback, name);
    }

    Builder real(String key, double fallback, String... names) {
      return setting(key, Kind.REAL, Optional.of(fallback), names);
    }

    Builder truth(String key, String name, boolean fallback) {
      return setting(key, Kind.TRUTH, Optional.of(fallback), name);
    }

    /** A number of each block, of which a checkpoint has a tensor below the block. */
    Builder numbers(String key, String tensor) {
      return setting(key, Kind.NUMBERS, Optional.empty(), tensor);
    }

    Builder numbers(String key, String tensor, double fallback) {
      return setting(key, Kind.NUMBERS, Optional.of(fallback), tensor);
    }

    private Builder setting(String key, Kind kind, Optional<Object> fallback, String... names) {
      settings.put(key, new Setting(key, ImmutableList.copyOf(names), kind, fallback));
      return this;
    }

    Builder fixed(String name, Object value, Object absent) {
      return oneOf(name, absent, value);
    }

    /** A key with some values that llama.cpp takes for the same. */
    Builder oneOf(String name, Object absent, Object... values) {
      fixed.add(new Fixed(name, ImmutableList.copyOf(values), absent));
      return this;
    }

    /** A switch that is on where the first block has a tensor, named as in the file. */
    Builder bias(String name, String tensor) {
      switches.add(new Switch(name, tensor, true));
      return this;
    }

    /** A switch that is on where the first block lacks a tensor, named as in the file. */
    Builder lack(String name, String tensor) {
      switches.add(new Switch(name, tensor, false));
      return this;
    }

    Builder blocks(Range<Integer> range) {
      blocks = range;
      return this;
    }

    Builder marker(String name) {
      marker = name;
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
      return trait(Trait.OWN_HEAD);
    }

    GgufFamily build() {
      return new GgufFamily(
          modelType,
          modelClass,
          architecture,
          traits.build(),
          layers,
          ends,
          ImmutableBiMap.copyOf(modules),
          ImmutableBiMap.copyOf(tensors),
          experts,
          ImmutableBiMap.copyOf(expertModules),
          ImmutableList.copyOf(settings.values()),
          fixed.build(),
          constants.buildOrThrow(),
          switches.build(),
          windows,
          localRope,
          unrotated,
          blocks,
          marker);
    }
  }
}
