package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableBiMap;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Range;
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
 * @param periods which layers differ from others
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
    Periods periods,
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
    SECTIONED,
    /**
     * An indexer chooses the positions that a query sees in longer texts than are taken here. Its
     * tensors are copied; a block may use what that of another chose.
     */
    INDEXED
  }

  /**
   * Which layers differ from others; 0 where none do.
   *
   * @param windows every so manieth layer sees all positions, and the others have a window
   * @param localRope every so manieth layer is rotated as usual, and the others as those with a
   *     window are
   * @param unrotated every so manieth layer is not rotated
   */
  public record Periods(int windows, int localRope, int unrotated) {
    /** Whether a layer, counted from 0, has a window. */
    public boolean hasWindow(int layer) {
      return windows > 0 && (layer + 1) % windows != 0;
    }

    /** Whether a layer, counted from 0, is rotated as those with a window are. */
    public boolean isLocal(int layer) {
      return localRope > 0 && (layer + 1) % localRope != 0;
    }

    /** Whether a layer, counted from 0, is not rotated. */
    public boolean isUnrotated(int layer) {
      return unrotated > 0 && (layer + 1) % unrotated == 0;
    }
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

  static GgufFamilyBuilder of(String modelType, String modelClass, String architecture) {
    return new GgufFamilyBuilder(modelType, modelClass, architecture);
  }
}
