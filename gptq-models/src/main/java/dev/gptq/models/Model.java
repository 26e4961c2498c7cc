package dev.gptq.models;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.codec.Sources;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.PackedLinears;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.models.gguf.GgufSource;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.models.tokenizer.TokenizerSource;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * A model folder as Hugging Face lays it out, full-precision or quantized, or a GGUF file that is
 * seen as such.
 */
public final class Model implements AutoCloseable {
  /** Names of output layers. */
  private static final ImmutableList<String> HEADS = ImmutableList.of("lm_head", "embed_out");

  private final Path path;
  private final Path folder;
  private final ModelConfig config;
  private final DecoderSpec spec;
  private final Optional<PackedModules> quantization;
  private final Optional<Codes> packed;
  private final Checkpoint checkpoint;
  private final Optional<TokenizerSource> tokenizer;
  private final Optional<GgufSource> source;
  private final Set<String> warnings = new LinkedHashSet<>();
  private final Set<String> float4 = new HashSet<>();

  /** Quantized modules, and the tensors that they are read from. */
  private record Codes(PackedModules modules, Checkpoint tensors) {}

  private Model(
      Path path,
      Path folder,
      ModelConfig config,
      DecoderSpec spec,
      Optional<PackedModules> quantization,
      Optional<Codes> packed,
      Checkpoint checkpoint,
      Optional<TokenizerSource> tokenizer,
      Optional<GgufSource> source) {
    this.path = path;
    this.folder = folder;
    this.config = config;
    this.spec = spec;
    this.quantization = quantization;
    this.packed = packed;
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.source = source;
  }

  /**
   * Opens a folder with {@code config.json} and safetensors, or a GGUF file, and checks that every
   * tensor of the model is there and fits. {@link #warnings} tells what is odd but does no harm.
   *
   * @throws BadInputException if it is damaged, incomplete or not supported
   */
  public static Model open(Path path) throws IOException {
    return GgufFile.is(path) ? openFile(path) : openFolder(path);
  }

  private static Model openFile(Path path) throws IOException {
    GgufSource source = GgufSource.open(path);
    boolean sound = false;
    try {
      Checkpoint checkpoint = source.checkpoint();
      DecoderSpec spec =
          Families.describe(source.config(), checkpoint)
              .withEndTokens(generationEndTokens(source.folder()));
      Optional<TokenizerSource> tokenizer = TokenizerSource.find(source.folder());
      ImmutableList<String> oddities =
          CheckpointCheck.check(tokenizer, source.config(), spec, Optional.empty(), checkpoint);
      Model model =
          new Model(
              path,
              source.folder(),
              source.config(),
              spec,
              Optional.empty(),
              Optional.empty(),
              checkpoint,
              tokenizer,
              Optional.of(source));
      model.warnings.addAll(oddities);
      sound = true;
      return model;
    } finally {
      if (!sound) {
        source.close();
      }
    }
  }

  private static Model openFolder(Path folder) throws IOException {
    ModelConfig config = ModelConfig.read(folder);
    Optional<Sources> sources = Sources.find(config);
    Checkpoint files = Formats.split(Checkpoint.open(folder));
    boolean sound = false;
    try {
      DenseEnds ends =
          DenseEnds.of(
              files, sources.isPresent() ? Optional.empty() : Formats.open(config, folder, files));
      Optional<PackedModules> quantization = ends.quantization();
      Sources encoding = sources.orElse(Sources.PLAIN);
      Checkpoint decoded = encoding.decoded(ends.checkpoint());
      requireDenseHead(folder, decoded);
      DecoderSpec spec =
          Families.describe(config, decoded).withEndTokens(generationEndTokens(folder));
      Checkpoint checkpoint = SplitExperts.of(decoded, spec, encoding);
      Optional<TokenizerSource> tokenizer = TokenizerSource.find(folder);
      ImmutableList<String> oddities =
          CheckpointCheck.check(tokenizer, config, spec, quantization, checkpoint);
      Model model =
          new Model(
              folder,
              folder,
              config,
              spec,
              quantization,
              quantization.map(modules -> new Codes(modules, checkpoint)),
              checkpoint,
              tokenizer,
              Optional.empty());
      model.float4.addAll(SplitExperts.inMxfp4(decoded, spec));
      model.warnings.addAll(oddities);
      sound = true;
      return model;
    } finally {
      if (!sound) {
        files.close();
      }
    }
  }

  /** Chat models keep the token that ends a turn there, and only that of a text in config.json. */
  private static ImmutableList<Integer> generationEndTokens(Path folder) throws IOException {
    Path file = folder.resolve("generation_config.json");
    return Files.isRegularFile(file)
        ? JsonConfig.read(file).intList("eos_token_id")
        : ImmutableList.of();
  }

  private static void requireDenseHead(Path folder, Checkpoint checkpoint) {
    for (String head : HEADS) {
      if (Formats.isPacked(checkpoint, head)) {
        throw new BadInputException(
            "%s: %s is quantized, and a quantized output layer cannot be read; take a checkpoint"
                    .formatted(folder, head)
                + " that was made with lm_head false");
      }
    }
  }

  /** The folder or file as given, for messages. */
  public Path path() {
    return path;
  }

  /** The folder of configuration and tokenizer; of a file, a temporary one. */
  public Path folder() {
    return folder;
  }

  /** Its {@code config.json}. */
  public ModelConfig config() {
    return config;
  }

  /** The longest window, in words that say what bounds it. */
  public String contextInWords() {
    ModelConfig text = config.text();
    int longest = spec.context();
    return text.has("index_topk") && longest < text.context("max_position_embeddings", longest)
        ? "the index_topk of %d, beyond which attention would be sparse".formatted(longest)
        : "the model's context of " + longest;
  }

  /** Its architecture. */
  public DecoderSpec spec() {
    return spec;
  }

  /** Refuses a quantized model where one is wanted that can be quantized. */
  public void requireFullPrecision() {
    if (quantization.isPresent()) {
      throw new BadInputException(
          path()
              + " is quantized already (to "
              + quantization.get().base().bits()
              + " bits); start from the full-precision checkpoint, with which 'gptq eval --against'"
              + " compares this one");
    }
  }

  /**
   * This model as one that can be quantized: of a quantized one, what its codes stand for are its
   * weights, which it runs with as they are stored. Closing one of the two closes both.
   */
  public Model asSource() {
    return quantization.isEmpty()
        ? this
        : new Model(
            path,
            folder,
            config,
            spec,
            Optional.empty(),
            packed,
            DecodedLinears.of(checkpoint, quantization.get(), spec),
            tokenizer,
            source);
  }

  /** Its quantized modules, if it has any. */
  public Optional<PackedModules> quantization() {
    return quantization;
  }

  /**
   * Its modules that are stored as codes: those of a quantized checkpoint, or the matrices of a
   * GGUF file; empty for a model that has none.
   */
  public Optional<PackedLinears> codes() {
    return source.isPresent() ? Optional.of(source.get().linears()) : packed.map(Codes::modules);
  }

  /** What a GGUF file calls the blocks of a module; empty in all other models. */
  public Optional<String> blockType(String module) {
    return source.flatMap(file -> file.blockType(module));
  }

  /**
   * Whether the weights of a module are stored as MXFP4, and seen as the numbers that these are.
   */
  public boolean isMxfp4(String module) {
    return float4.contains(module)
        || blockType(module).filter(GgufType.MXFP4.name()::equals).isPresent();
  }

  /** Its tensors. */
  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /** Its tokenizer; the caller closes it. */
  public Tokenizer tokenizer() throws IOException {
    return Tokenizer.open(folder, tokenizer, spec.vocabulary());
  }

  /** Its weights for a backend. */
  public WeightSource weights(Backend backend) {
    return weights(backend, ImmutableMap.of());
  }

  /** Its weights for a backend, with packed ones in place of some modules'. */
  public WeightSource weights(Backend backend, ImmutableMap<String, PackedMatrix> replaced) {
    return new WeightSource(backend, checkpoint, quantization, replaced, warnings::add);
  }

  /** The same to run the model with: what is stored as codes is multiplied as such. */
  public WeightSource storedWeights(Backend backend, ImmutableMap<String, PackedMatrix> replaced) {
    return new WeightSource(backend, checkpoint, codes(), replaced, warnings::add);
  }

  /** Bytes of a module's packed weights, if {@link #storedWeights} has it packed. */
  public OptionalLong packedBytes(String module) {
    if (source.isPresent()) {
      return source.get().packedBytes(module);
    }
    if (packed.isEmpty() || !packed.get().modules().has(module)) {
      return OptionalLong.empty();
    }
    return OptionalLong.of(
        packed.get().modules().format().parts().stream()
            .flatMap(part -> packed.get().tensors().find(module + "." + part).stream())
            .mapToLong(StoredTensor::byteSize)
            .sum());
  }

  /** What was odd about the checkpoint and the packed weights loaded so far, each once. */
  public ImmutableSet<String> warnings() {
    return ImmutableSet.copyOf(warnings);
  }

  /** Loads it whole; layers that are stored packed stay so. */
  public Decoder load(Backend backend) {
    return new Decoder(backend, spec, storedWeights(backend, ImmutableMap.of()));
  }

  /**
   * Loads it whole to continue texts with: {@link Decoder#newSequence} takes an output head that is
   * stored as codes as it is, where the backend's activations are float32.
   */
  public Decoder loadToGenerate(Backend backend) {
    WeightSource weights = storedWeights(backend, ImmutableMap.of());
    Decoder decoder = new Decoder(backend, spec, weights);
    boolean done = false;
    try {
      String head = spec.head().matrix();
      if (backend.activationType() == DType.F32 && head.endsWith(".weight")) {
        weights.packed(Parameters.module(head)).ifPresent(decoder::packHead);
      }
      done = true;
      return decoder;
    } finally {
      if (!done) {
        decoder.close();
      }
    }
  }

  @Override
  public void close() throws IOException {
    checkpoint.close();
    if (source.isPresent()) {
      source.get().close();
    }
  }
}
