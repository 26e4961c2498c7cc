package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufStored;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.PackedLinears;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.Parameters;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A GGUF file as if it were the checkpoint that it was made of: its tensors under the names and in
 * the order of rows that the model has there, and a folder with configuration and tokenizer. The
 * folder is temporary and deleted on closing.
 */
public final class GgufSource implements AutoCloseable {
  private static final String WEIGHT = ".weight";
  private static final String RATE = ".A_log";

  /** Gate and up projections of experts, one behind the other. */
  private static final String FUSED = "ffn_gate_up_exps";

  private static final Pattern BLOCK = Pattern.compile("blk\\.(\\d+)\\.(.+?)(\\.weight|\\.bias|)");

  private final GgufFile file;
  private final GgufFamily family;
  private final ModelConfig config;
  private final Path folder;
  private final GgufOrder order;
  private final ImmutableMap<String, GgufStored> tensors;

  private GgufSource(GgufFile file, GgufFamily family, Path folder) throws IOException {
    this.file = file;
    this.family = family;
    this.folder = folder;
    ObjectNode json = GgufConfig.of(file, family);
    this.config = ModelConfig.of(JsonConfig.of(file.file(), json));
    write(ModelConfig.FILE, json);
    try (OutputStream tokenizer = Files.newOutputStream(folder.resolve("tokenizer.json"))) {
      GgufTokens.write(file.values(), tokenizer);
    }
    write("tokenizer_config.json", GgufTokens.configuration(file.values()));
    ObjectNode generation = JsonMapper.shared().createObjectNode();
    var ends = generation.putArray("eos_token_id");
    GgufTokens.ends(file.values()).forEach(ends::add);
    write("generation_config.json", generation);
    ImmutableMap<String, GgufStored> named = joined(named());
    ImmutableMap.Builder<String, StoredTensor> shapes = ImmutableMap.builder();
    named.forEach((name, tensor) -> shapes.put(name, tensor.decoded(name)));
    this.order =
        GgufOrder.of(
            family,
            Families.describe(config, file.seenAs(shapes.buildOrThrow())),
            config.headDim());
    ImmutableMap.Builder<String, GgufStored> ordered = ImmutableMap.builder();
    named.forEach((name, tensor) -> ordered.put(name, ordered(name, tensor)));
    this.tensors = ordered.buildOrThrow();
  }

  /**
   * Opens a file.
   *
   * @throws dev.gptq.formats.BadInputException if it is damaged, or of a family or with a tokenizer
   *     that cannot be read
   */
  public static GgufSource open(Path path) throws IOException {
    GgufFile file = GgufFile.open(path);
    Path folder = null;
    boolean opened = false;
    try {
      GgufFamily family = GgufFamilies.of(file);
      folder = Files.createTempDirectory("gptq-gguf");
      GgufSource source = new GgufSource(file, family, folder);
      opened = true;
      return source;
    } finally {
      if (!opened) {
        file.close();
        if (folder != null) {
          delete(folder);
        }
      }
    }
  }

  private void write(String name, ObjectNode json) throws IOException {
    byte[] text =
        JsonMapper.shared()
            .writerWithDefaultPrettyPrinter()
            .writeValueAsString(json)
            .concat("\n")
            .getBytes(StandardCharsets.UTF_8);
    Files.write(folder.resolve(name), text);
  }

  /** What {@code config.json} would say. */
  public ModelConfig config() {
    return config;
  }

  /** The folder of configuration, tokenizer and chat template. */
  public Path folder() {
    return folder;
  }

  /**
   * The tensors as real numbers: those of the file where it has such, else decoded to float32.
   * Closing them closes the file, but leaves the folder.
   */
  public Checkpoint checkpoint() {
    ImmutableMap.Builder<String, StoredTensor> decoded = ImmutableMap.builder();
    tensors.forEach((name, tensor) -> {
      StoredTensor stored = tensor.decoded(name);
      boolean shifted =
          family.has(GgufFamily.Trait.NORMS_PLUS_ONE)
              && GgufPlace.find(family, name).filter(GgufPlace::isShifted).isPresent();
      boolean turned = name.endsWith(WEIGHT) && order.isTransposed(Parameters.module(name));
      if (name.endsWith(RATE)) {
        decoded.put(name, mapped(stored, StateShape::logarithm));
      } else {
        decoded.put(
            name,
            shifted ? mapped(stored, gain -> gain - 1) : turned ? transposed(stored) : stored);
      }
    });
    decoded.putAll(BlockNumbers.of(file, family));
    ImmutableMap<String, StoredTensor> all = decoded.buildOrThrow();
    return file.seenAs(family.has(GgufFamily.Trait.LATENT) ? LatentHalves.joined(all) : all);
  }

  /** The matrices of codes, by module. They are valid as long as the checkpoint. */
  public PackedLinears linears() {
    return new PackedLinears() {
      @Override
      public boolean has(String module) {
        GgufStored tensor = tensors.get(module + WEIGHT);
        return tensor != null && tensor.isPacked();
      }

      @Override
      public StoredLinear read(String module) {
        return new StoredLinear(tensors.get(module + WEIGHT).packed(), ImmutableList.of());
      }
    };
  }

  /** What the file calls the blocks of a module, if it has it. */
  public Optional<String> blockType(String module) {
    return Optional.ofNullable(tensors.get(module + WEIGHT)).map(tensor -> tensor.type().name());
  }

  /** Bytes that a matrix of {@link #linears} takes, if it is one. */
  public OptionalLong packedBytes(String module) {
    GgufStored tensor = tensors.get(module + WEIGHT);
    return tensor != null && tensor.isPacked()
        ? OptionalLong.of(tensor.packedBytes())
        : OptionalLong.empty();
  }

  /** A number of a checkpoint for one of a file. */
  @FunctionalInterface
  private interface Mapping {
    float of(float stored);
  }

  private static StoredTensor mapped(StoredTensor vector, Mapping mapping) {
    return StoredTensor.computed(
        vector.name(),
        StoredType.F32,
        vector.shape(),
        vector.file(),
        () -> {
          StoredTensor decoded = vector.once();
          float[] numbers = new float[Math.toIntExact(vector.elements())];
          for (int i = 0; i < numbers.length; i++) {
            numbers[i] = mapping.of(Elements.get(decoded, i));
          }
          return Elements.toSegment(numbers);
        });
  }

  private static StoredTensor transposed(StoredTensor matrix) {
    int rows = matrix.rows();
    int columns = matrix.columns();
    return StoredTensor.computed(
        matrix.name(),
        StoredType.F32,
        matrix.shape().reverse(),
        matrix.file(),
        () -> {
          StoredTensor decoded = matrix.once();
          float[] weights = new float[Math.multiplyExact(rows, columns)];
          for (int i = 0; i < weights.length; i++) {
            weights[i] = Elements.get(decoded, (long) i % rows * columns + i / rows);
          }
          return Elements.toSegment(weights);
        });
  }

  /** The tensors by their names in a checkpoint; what has no place there keeps its name. */
  private ImmutableMap<String, GgufStored> named() {
    Map<String, GgufStored> named = new LinkedHashMap<>();
    for (GgufStored tensor : file.tensors().values()) {
      Matcher block = BLOCK.matcher(tensor.name());
      if (!block.matches()) {
        named.put(outside(tensor.name()), tensor);
        continue;
      }
      String prefix = family.layers() + block.group(1) + ".";
      String stem = block.group(2);
      String whole = family.tensors().inverse().get(stem + block.group(3));
      String expert = family.expertModules().inverse().get(stem);
      int dimensions = block.group(3).equals(WEIGHT) ? 3 : 2;
      if (whole != null && whole.contains("*")) {
        for (int i = 0; i < tensor.shape().getFirst(); i++) {
          named.put(prefix + whole.replace("*", String.valueOf(i)), tensor.part(i));
        }
      } else if (whole != null) {
        named.put(prefix + whole, shaped(stem, tensor));
      } else if (expert != null && tensor.shape().size() == dimensions) {
        for (int i = 0; i < tensor.shape().getFirst(); i++) {
          named.put(prefix + family.experts() + i + "." + expert + block.group(3), tensor.part(i));
        }
      } else if (stem.equals(FUSED) && !family.experts().isEmpty()) {
        for (int i = 0; i < tensor.shape().getFirst(); i++) {
          GgufStored both = tensor.part(i);
          int half = Math.toIntExact(both.shape().getFirst() / 2);
          String name = prefix + family.experts() + i + ".";
          named.put(
              name + family.expertModules().inverse().get("ffn_gate_exps") + block.group(3),
              both.gathered(half, row -> row));
          named.put(
              name + family.expertModules().inverse().get("ffn_up_exps") + block.group(3),
              both.gathered(half, row -> half + row));
        }
      } else if (family.modules().inverse().containsKey(stem)) {
        named.put(
            prefix + family.modules().inverse().get(stem) + block.group(3), shaped(stem, tensor));
      } else {
        named.put(tensor.name(), tensor);
      }
    }
    named.keySet().removeIf(name -> name.startsWith("rope_"));
    return ImmutableMap.copyOf(named);
  }

  /** With the matrices in one that a file has in two. */
  private static ImmutableMap<String, GgufStored> joined(Map<String, GgufStored> named) {
    String last = GgufOrder.Cut.LAST + WEIGHT;
    Map<String, GgufStored> joined = new LinkedHashMap<>(named);
    named.forEach((name, tensor) -> {
      if (name.endsWith(last)) {
        String matrix = name.substring(0, name.length() - last.length()) + WEIGHT;
        GgufStored first = named.get(matrix);
        if (first != null) {
          joined.put(matrix, first.before(tensor));
          joined.remove(name);
        }
      }
    });
    return ImmutableMap.copyOf(joined);
  }

  private static GgufStored shaped(String stem, GgufStored tensor) {
    if (GgufRows.isVector(stem) && tensor.shape().size() == 1) {
      return tensor.asRow();
    }
    if (StateShape.isVector(stem)) {
      return tensor.asVector();
    }
    boolean kernel = GgufPlace.isConvolution(stem) && tensor.shape().size() == 2;
    return kernel ? tensor.asKernel() : tensor;
  }

  private String outside(String name) {
    int dot = name.lastIndexOf('.');
    String module = dot < 0 ? null : family.ends().inverse().get(name.substring(0, dot));
    return module == null ? name : module + name.substring(dot);
  }

  /** With rows where the model has them. */
  private GgufStored ordered(String name, GgufStored tensor) {
    Optional<TiledHeads> columns = order.columns(GgufOrder.module(name));
    if (columns.isPresent()) {
      requireFit(columns.get(), tensor.columns(), tensor);
      return tensor.withColumns(columns.get().size(), columns.get()::inFile);
    }
    Optional<GgufOrder.Rows> rows = order.rows(GgufOrder.module(name));
    if (rows.isEmpty()) {
      return tensor;
    }
    int count = Math.toIntExact(tensor.shape().getFirst());
    requireFit(rows.get(), count, tensor);
    return tensor.gathered(count, rows.get()::inFile);
  }

  private void requireFit(GgufOrder.Rows rows, int count, GgufStored tensor) {
    if (!rows.fits(count)) {
      throw new BadInputException(
          "%s: tensor '%s' of shape %s has no whole heads of %d channels; download the file again"
              .formatted(tensor.file(), tensor.name(), tensor.shape(), config.headDim()));
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
    delete(folder);
  }

  private static void delete(Path folder) throws IOException {
    MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
  }
}
