package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.grid.SuperBlock;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufPlace;
import dev.gptq.models.gguf.TiledHeads;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Which module has which type, named and chosen as llama.cpp does: most have the type of the name,
 * and those that suffer most have more bits.
 */
public enum Mixture {
  /** 2 bits; 3 for what attention and the feed-forward network put out. */
  Q2_K(SuperBlock.Q2_K, 10),
  /** 3 bits. */
  Q3_K_S(SuperBlock.Q3_K, 11),
  /** 3 bits; 4 and 5 for values and for what attention and the feed-forward network put out. */
  Q3_K_M(SuperBlock.Q3_K, 12),
  /** 3 bits; 5 for these. */
  Q3_K_L(SuperBlock.Q3_K, 13),
  /** 4 bits; 5 for values and the last matrix of the first blocks. */
  Q4_K_S(SuperBlock.Q4_K, 14),
  /** 4 bits; 6 for values and the last matrix of about half of the blocks. */
  Q4_K_M(SuperBlock.Q4_K, 15),
  /** 5 bits. */
  Q5_K_S(SuperBlock.Q5_K, 16),
  /** 5 bits; 6 for values and the last matrix of about half of the blocks. */
  Q5_K_M(SuperBlock.Q5_K, 17),
  /** 6 bits. */
  Q6_K(SuperBlock.Q6_K, 18);

  /** Experts of the models for which attention costs nearly nothing. */
  private static final int EIGHT = 8;

  private final SuperBlock base;
  private final int fileType;

  Mixture(SuperBlock base, int fileType) {
    this.base = base;
    this.fileType = fileType;
  }

  /** The type of most modules. */
  public SuperBlock base() {
    return base;
  }

  /** {@code general.file_type} of such a file. */
  int fileType() {
    return fileType;
  }

  /** What the choice depends on, of a model. */
  record Traits(int blocks, int experts, int queriesPerKey) {
    static Traits of(Model model) {
      ModelConfig config = model.config().text();
      AttentionSpec attention =
          model.spec().blocks().stream()
              .flatMap(block -> block.steps(Step.Attention.class))
              .map(Step.Attention::spec)
              .findFirst()
              .orElseThrow();
      return new Traits(
          model.spec().blocks().size(),
          config.has("num_experts") || config.has("num_local_experts")
              ? config.anyInt("num_experts", "num_local_experts")
              : 0,
          attention.heads() / attention.keyValueHeads());
    }

    /** The models of 70 billion weights have eight queries for a key, and values are small. */
    boolean hasFewValues() {
      return blocks == 80 && queriesPerKey > 1;
    }

    /** The first and the last eighth of the blocks, and every third between them. */
    boolean counts(int block) {
      int eighth = blocks / 8;
      return block < eighth || block >= 7 * blocks / 8 || (block - eighth) % 3 == 2;
    }
  }

  /**
   * The type of each selected module by its full name. Where the columns of a module, or those that
   * stay together in a file, are no multiple of 256 it gets the type with blocks of 32 that has the
   * next more bits.
   *
   * @param pure whether all have the type of the name
   * @throws BadInputException if a module has no place, or no type holds it
   */
  public ImmutableMap<String, GgufType> types(
      Model model, Predicate<String> selection, boolean pure) {
    GgufModel description = GgufModel.of(model);
    Traits traits = Traits.of(model);
    ImmutableMap.Builder<String, GgufType> types = ImmutableMap.builder();
    int block = 0;
    for (BlockSpec spec : model.spec().blocks()) {
      int index = block;
      for (LinearSpec linear : spec.linears().toList()) {
        String name = spec.nameOf(linear);
        Optional<GgufPlace> place = description.place(name + ".weight");
        if (selection.test(name) && place.isPresent()) {
          GgufType type =
              pure ? GgufType.valueOf(base.name()) : of(place.get().stem(), index, traits);
          int run = description.order().columns(name).map(TiledHeads::size).orElse(linear.inputs());
          types.put(name, fitting(type, name, run));
        }
      }
      block++;
    }
    return types.buildOrThrow();
  }

  /** The type of a module, by its name below a block in the file, were it wide enough. */
  GgufType of(String stem, int block, Traits traits) {
    GgufType usual = GgufType.valueOf(base.name());
    if (stem.equals("attn_v") || stem.equals("attn_qkv")) {
      return values(usual, block, traits);
    }
    if (stem.equals("attn_k") && traits.experts() == EIGHT) {
      return GgufType.Q8_0;
    }
    if (stem.startsWith("ffn_down")) {
      return down(usual, block, traits);
    }
    return stem.equals("attn_output") ? output(usual, traits) : usual;
  }

  private GgufType values(GgufType usual, int block, Traits traits) {
    if (traits.experts() == EIGHT) {
      return GgufType.Q8_0;
    }
    GgufType type =
        switch (this) {
          case Q2_K -> traits.queriesPerKey() >= 4 ? GgufType.Q4_K : GgufType.Q3_K;
          case Q3_K_M -> block < 2 ? GgufType.Q5_K : GgufType.Q4_K;
          case Q3_K_L -> GgufType.Q5_K;
          case Q4_K_S -> block < 4 ? GgufType.Q5_K : usual;
          case Q4_K_M, Q5_K_M -> traits.counts(block) ? GgufType.Q6_K : usual;
          case Q3_K_S, Q5_K_S, Q6_K -> usual;
        };
    boolean few = type == GgufType.Q3_K || type == GgufType.Q4_K;
    return traits.hasFewValues() && few ? GgufType.Q5_K : type;
  }

  private GgufType down(GgufType usual, int block, Traits traits) {
    return switch (this) {
      case Q2_K -> GgufType.Q3_K;
      case Q3_K_M -> block < traits.blocks() / 16 ? GgufType.Q5_K : GgufType.Q4_K;
      case Q3_K_L -> GgufType.Q5_K;
      case Q4_K_S -> block < traits.blocks() / 8 ? GgufType.Q5_K : usual;
      case Q4_K_M, Q5_K_M -> traits.counts(block) ? GgufType.Q6_K : usual;
      case Q3_K_S, Q5_K_S, Q6_K -> usual;
    };
  }

  private GgufType output(GgufType usual, Traits traits) {
    boolean eight = traits.experts() == EIGHT;
    return switch (this) {
      case Q2_K -> eight ? GgufType.Q5_K : GgufType.Q3_K;
      case Q3_K_S, Q4_K_S, Q4_K_M -> eight ? GgufType.Q5_K : usual;
      case Q3_K_M -> eight ? GgufType.Q5_K : GgufType.Q4_K;
      case Q3_K_L -> eight ? usual : GgufType.Q5_K;
      case Q5_K_S, Q5_K_M, Q6_K -> usual;
    };
  }

  private static GgufType fitting(GgufType type, String module, int columns) {
    if (columns % type.block() == 0) {
      return type;
    }
    if (columns % GgufType.Q4_0.block() != 0) {
      throw new BadInputException(
          "%s has rows of %d, and GGUF has blocks of 256 and of 32; leave the module out with --exclude"
              .formatted(module, columns));
    }
    return switch (type) {
      case Q2_K, Q3_K -> GgufType.Q4_0;
      case Q4_K -> GgufType.Q5_0;
      case Q5_K -> GgufType.Q5_1;
      default -> GgufType.Q8_0;
    };
  }
}
