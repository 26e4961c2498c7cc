package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableBiMap;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Range;
import dev.gptq.models.gguf.GgufFamily.Fixed;
import dev.gptq.models.gguf.GgufFamily.Kind;
import dev.gptq.models.gguf.GgufFamily.Periods;
import dev.gptq.models.gguf.GgufFamily.Setting;
import dev.gptq.models.gguf.GgufFamily.Switch;
import dev.gptq.models.gguf.GgufFamily.Trait;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Collects what is known of a {@link GgufFamily}. */
final class GgufFamilyBuilder {
  private static final ImmutableBiMap<String, String> ENDS =
      ImmutableBiMap.of(
          "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output");

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

  GgufFamilyBuilder(String modelType, String modelClass, String architecture) {
    this.modelType = modelType;
    this.modelClass = modelClass;
    this.architecture = architecture;
    if (architecture.equals("llama")) {
      traits.add(Trait.ROPE_FACTORS);
    }
  }

  GgufFamilyBuilder pairsNeighbours() {
    return trait(Trait.PAIRS_NEIGHBOURS);
  }

  GgufFamilyBuilder normsPlusOne() {
    return trait(Trait.NORMS_PLUS_ONE);
  }

  GgufFamilyBuilder trait(Trait trait) {
    traits.add(trait);
    return this;
  }

  /** What begins the name of a block in a checkpoint. */
  GgufFamilyBuilder layers(String prefix) {
    layers = prefix;
    return this;
  }

  /** Pairs of names outside of blocks: in the checkpoint, in the file. */
  GgufFamilyBuilder ends(String... pairs) {
    ImmutableBiMap.Builder<String, String> names = ImmutableBiMap.builder();
    for (int i = 0; i < pairs.length; i += 2) {
      names.put(pairs[i], pairs[i + 1]);
    }
    ends = names.buildOrThrow();
    return this;
  }

  /** Pairs of names: in the checkpoint, in the file. */
  GgufFamilyBuilder modules(String... pairs) {
    for (int i = 0; i < pairs.length; i += 2) {
      modules.put(pairs[i], pairs[i + 1]);
    }
    return this;
  }

  /** A name of a tensor that is no weight or bias of a module: in the checkpoint, in the file. */
  GgufFamilyBuilder tensor(String name, String inFile) {
    tensors.put(name, inFile);
    return this;
  }

  GgufFamilyBuilder without(String... names) {
    for (String name : names) {
      modules.remove(name);
    }
    return this;
  }

  /** The prefix of experts in a checkpoint, and their gate, up and down projections. */
  GgufFamilyBuilder experts(String prefix, String gate, String up, String down) {
    experts = prefix;
    expertModules.put(gate, "ffn_gate_exps");
    expertModules.put(up, "ffn_up_exps");
    expertModules.put(down, "ffn_down_exps");
    return this;
  }

  /** The prefix of experts without gates, and their projections. */
  GgufFamilyBuilder experts(String prefix, String up, String down) {
    experts = prefix;
    expertModules.put(up, "ffn_up_exps");
    expertModules.put(down, "ffn_down_exps");
    return this;
  }

  /** An integer, under the first of some names that a configuration has. */
  GgufFamilyBuilder whole(String key, String... names) {
    return setting(key, Kind.WHOLE, Optional.empty(), names);
  }

  GgufFamilyBuilder whole(String key, String name, int fallback) {
    return setting(key, Kind.WHOLE, Optional.of(fallback), name);
  }

  /** A number that is several of a configuration multiplied. */
  GgufFamilyBuilder product(String key, String... names) {
    return setting(key, Kind.PRODUCT, Optional.empty(), names);
  }

  /** A whole number that every file says. */
  GgufFamilyBuilder constant(String key, int value) {
    constants.put(key, value);
    return this;
  }

  GgufFamilyBuilder real(String key, String... names) {
    return setting(key, Kind.REAL, Optional.empty(), names);
  }

  GgufFamilyBuilder real(String key, String name, double fallback) {
    return real(key, fallback, name);
  }

  GgufFamilyBuilder real(String key, double fallback, String... names) {
    return setting(key, Kind.REAL, Optional.of(fallback), names);
  }

  GgufFamilyBuilder truth(String key, String name, boolean fallback) {
    return setting(key, Kind.TRUTH, Optional.of(fallback), name);
  }

  /** A number of each block, of which a checkpoint has a tensor below the block. */
  GgufFamilyBuilder numbers(String key, String tensor) {
    return setting(key, Kind.NUMBERS, Optional.empty(), tensor);
  }

  GgufFamilyBuilder numbers(String key, String tensor, double fallback) {
    return setting(key, Kind.NUMBERS, Optional.of(fallback), tensor);
  }

  private GgufFamilyBuilder setting(
      String key, Kind kind, Optional<Object> fallback, String... names) {
    settings.put(key, new Setting(key, ImmutableList.copyOf(names), kind, fallback));
    return this;
  }

  GgufFamilyBuilder fixed(String name, Object value, Object absent) {
    return oneOf(name, absent, value);
  }

  /** A key with some values that llama.cpp takes for the same. */
  GgufFamilyBuilder oneOf(String name, Object absent, Object... values) {
    fixed.add(new Fixed(name, ImmutableList.copyOf(values), absent));
    return this;
  }

  /** A switch that is on where the first block has a tensor, named as in the file. */
  GgufFamilyBuilder bias(String name, String tensor) {
    switches.add(new Switch(name, tensor, true));
    return this;
  }

  /** A switch that is on where the first block lacks a tensor, named as in the file. */
  GgufFamilyBuilder lack(String name, String tensor) {
    switches.add(new Switch(name, tensor, false));
    return this;
  }

  GgufFamilyBuilder blocks(Range<Integer> range) {
    blocks = range;
    return this;
  }

  GgufFamilyBuilder marker(String name) {
    marker = name;
    return this;
  }

  GgufFamilyBuilder windows(int period) {
    windows = period;
    return this;
  }

  GgufFamilyBuilder localRope(int period) {
    localRope = period;
    return this;
  }

  GgufFamilyBuilder unrotated(int period) {
    unrotated = period;
    return this;
  }

  GgufFamilyBuilder ownHead() {
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
        new Periods(windows, localRope, unrotated),
        blocks,
        marker);
  }
}
