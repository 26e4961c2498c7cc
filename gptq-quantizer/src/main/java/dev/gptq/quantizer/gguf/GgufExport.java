package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlace;
import dev.gptq.formats.gguf.GgufBlocks;
import dev.gptq.formats.gguf.GgufColumns;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.gguf.GgufMxfp4;
import dev.gptq.formats.gguf.GgufScales;
import dev.gptq.formats.gguf.GgufShards;
import dev.gptq.formats.gguf.GgufTensor;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.gguf.GgufWriter;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedLinears;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Parameters.Parameter;
import dev.gptq.models.gguf.GgufOrder;
import dev.gptq.models.gguf.GgufPlace;
import dev.gptq.models.gguf.GgufRows;
import dev.gptq.models.gguf.LatentHalves;
import dev.gptq.models.gguf.Multipliers;
import dev.gptq.models.gguf.StateShape;
import dev.gptq.models.gguf.TiledHeads;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.IntUnaryOperator;
import java.util.stream.Stream;

/**
 * Writes a quantized model as GGUF, one file or several, for llama.cpp and what is built on it: the
 * codes and scales of its modules, and all other matrices in their own type. Rows of queries and
 * keys move where the architecture wants the two channels that turn together side by side, and
 * experts are put together.
 */
public final class GgufExport {
  private final Model model;
  private final Modules modules;
  private final GgufFormat format;
  private final GgufModel description;
  private final FileTensors tensors;
  private final Map<GgufType, Long> weights = new EnumMap<>(GgufType.class);
  private int packed;

  /** Quantized modules by their names. */
  @FunctionalInterface
  public interface Modules {
    /** The matrix of a module, if it is quantized. */
    Optional<PackedMatrix> find(String module);

    /** The type of its blocks, where that is not for its codes to tell. */
    default Optional<GgufType> type(String module) {
      return Optional.empty();
    }
  }

  /**
   * Modules as a model stores them. Blocks without offsets hold what formats without symmetric
   * grids have with zero points in the middle.
   */
  private record Stored(Model model, PackedLinears codes) implements Modules {
    @Override
    public Optional<PackedMatrix> find(String module) {
      return Optional.of(module)
          .filter(codes::has)
          .map(name -> codes.read(name).matrix())
          .map(matrix -> matrix.isCentred() ? matrix.centred() : matrix);
    }

    @Override
    public Optional<GgufType> type(String module) {
      return model.blockType(module).map(GgufType::valueOf);
    }
  }

  private GgufExport(Model model, Modules modules, GgufFormat format) {
    this.model = model;
    this.modules = modules;
    this.format = format;
    this.description = GgufModel.of(model);
    this.tensors = new FileTensors(model.path());
  }

  /** Throws what can be known to be without a place before anything is quantized. */
  public static void check(Model model) throws IOException {
    GgufModel description = GgufModel.of(model);
    for (String name : Parameters.of(model.spec()).tensors().keySet()) {
      if (!description.isNumber(name)) {
        place(model, description, name);
      }
    }
    description.carried().forEach(model.checkpoint()::require);
    GgufTokenizer.describe(model, new GgufMetadata());
  }

  /**
   * Writes a model with its quantized modules and returns the file, or the first of several.
   *
   * @param shardSize most bytes of tensors in one file; all in one where it is empty
   * @throws BadInputException if GGUF has no place for something
   */
  public static Path write(
      Model model, Modules modules, GgufFormat format, Path file, OptionalLong shardSize)
      throws IOException {
    return new GgufExport(model, modules, format).write(file, shardSize, false).first();
  }

  /**
   * What was written.
   *
   * @param first the file, or the first of several
   * @param modules how many were quantized
   */
  public record Written(Path first, int modules) {}

  /**
   * Writes the model in a folder.
   *
   * @param shardSize most bytes of tensors in one file; all in one where it is empty
   * @throws BadInputException if the model is not quantized, or GGUF has no place for something
   */
  public static Written write(
      Path folder, Path file, Ends ends, OptionalLong shardSize, boolean overwrite)
      throws IOException {
    if (shardSize.isPresent()) {
      GgufShards.requireReplaceable(file, overwrite);
    } else {
      GgufWriter.requireReplaceable(file, overwrite);
    }
    OutputPlace.requireApart(file, ImmutableList.of(folder));
    try (Model model = Model.open(folder)) {
      PackedLinears quantized =
          model
              .codes()
              .orElseThrow(() ->
                  new BadInputException(
                      folder
                          + " is not quantized; 'gptq quantize' makes a quantized checkpoint of"
                          + " it"));
      Modules modules = new Stored(model, quantized);
      requireNumbers(model, modules, ends);
      return new GgufExport(model, modules, GgufFormat.of(ends)).write(file, shardSize, overwrite);
    }
  }

  /** Refuses to round an embedding or output layer that consists of codes already. */
  private static void requireNumbers(Model model, Modules modules, Ends ends) {
    Stream.of(model.spec().embedding().table(), model.spec().head().matrix())
        .map(Parameters::module)
        .filter(module -> ends != Ends.KEEP && modules.find(module).isPresent())
        .findFirst()
        .ifPresent(module -> {
          throw new BadInputException(
              "%s: %s is quantized already and keeps its type; leave out --embedding-type"
                  .formatted(model.path(), module));
        });
  }

  private Written write(Path file, OptionalLong shardSize, boolean overwrite) throws IOException {
    for (Map.Entry<String, Parameter> parameter :
        Parameters.of(model.spec()).tensors().entrySet()) {
      if (!description.isNumber(parameter.getKey())) {
        add(parameter.getKey());
      }
    }
    description.carried().forEach(this::add);
    if (description.repeatsEmbedding()) {
      String table = model.spec().embedding().table();
      addPlain(table, GgufPlace.outputLayer(), 0, rows(table));
    }
    description.divisors().forEach(tensors::add);
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", description.architecture());
    metadata.put("general.type", "model");
    metadata.put(
        "general.name", model.path().toAbsolutePath().normalize().getFileName().toString());
    description.describe(metadata);
    GgufTokenizer.describe(model, metadata);
    metadata.put("general.quantization_version", 2);
    metadata.put(
        "general.file_type", format.mixture().map(Mixture::fileType).orElseGet(this::fileType));
    List<GgufTensor> all = tensors.all();
    if (shardSize.isPresent()) {
      Path first = GgufShards.write(file, metadata, all, shardSize.getAsLong(), overwrite);
      return new Written(first, packed);
    }
    GgufWriter.write(file, metadata, all, overwrite);
    return new Written(file, packed);
  }

  /** That of the type that most weights have. */
  private int fileType() {
    return weights.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .orElseThrow()
        .getKey()
        .fileType();
  }

  private void add(String name) {
    GgufPlace place = place(model, description, name);
    Optional<PackedMatrix> matrix =
        name.endsWith(".weight") ? modules.find(Parameters.module(name)) : Optional.empty();
    Optional<LatentHalves> halves = description.latent(name);
    if (halves.isPresent()) {
      addKeys(name, matrix, place, halves.get());
      addValues(name, matrix, place, halves.get());
      packed += matrix.isPresent() ? 1 : 0;
    } else {
      int rows = matrix.map(PackedMatrix::rows).orElseGet(() -> rows(name));
      Optional<GgufOrder.Cut> cut = description.order().cut(GgufOrder.module(name));
      int first = cut.map(GgufOrder.Cut::first).orElse(rows);
      addRows(name, matrix, place, 0, first);
      cut.ifPresent(c -> addRows(name, matrix, place.named(c.stem()), first, rows - first));
      packed += matrix.isPresent() ? 1 : 0;
    }
  }

  private int rows(String name) {
    return Math.toIntExact(model.checkpoint().require(name).shape().getFirst());
  }

  private void addRows(
      String name, Optional<PackedMatrix> matrix, GgufPlace place, int from, int count) {
    if (matrix.isPresent()) {
      addPacked(Parameters.module(name), matrix.get(), place, from, count);
    } else {
      addPlain(name, place, from, count);
    }
  }

  private static GgufPlace place(Model model, GgufModel description, String name) {
    return description
        .place(name)
        .orElseThrow(() ->
            new BadInputException(
                "%s: tensor %s has no place in a GGUF file of the architecture %s"
                    .formatted(model.path(), name, description.architecture())));
  }

  /** Keys of a latent: their groups would lie across the rows of the file, so they are decoded. */
  private void addKeys(
      String name, Optional<PackedMatrix> matrix, GgufPlace place, LatentHalves halves) {
    String module = Parameters.module(name);
    int latent =
        matrix
            .map(PackedMatrix::columns)
            .orElseGet(() -> model.checkpoint().require(name).columns());
    GgufType type = matrix.isPresent() ? GgufType.F16 : plainType(model.checkpoint().require(name));
    tensors.add(
        new GgufPlace(LatentHalves.keys(place.name()), "attn_k_b", -1),
        type,
        ImmutableList.of((long) halves.heads(), (long) latent, (long) halves.still()),
        () -> {
          Optional<PackedMatrix> codes = modules.find(module);
          return codes.isPresent()
              ? FileMatrices.keys(halves, latent, codes.get())
              : FileMatrices.keys(halves, latent, model.checkpoint().require(name));
        });
  }

  private void addValues(
      String name, Optional<PackedMatrix> matrix, GgufPlace place, LatentHalves halves) {
    String module = Parameters.module(name);
    GgufPlace values = new GgufPlace(LatentHalves.values(place.name()), "attn_v_b", -1);
    int rows = halves.heads() * halves.value();
    if (matrix.isPresent()) {
      GgufType type = packedType(module, matrix.get());
      int columns = matrix.get().columns();
      weights.merge(type, (long) rows * columns, Long::sum);
      tensors.add(
          values,
          type,
          ImmutableList.of((long) halves.heads(), (long) halves.value(), (long) columns),
          () ->
              GgufBlocks.encode(
                  module, modules.find(module).orElseThrow(), type, rows, halves::valueRow));
      return;
    }
    StoredTensor stored = model.checkpoint().require(name);
    tensors.add(
        values,
        plainType(stored),
        ImmutableList.of((long) halves.heads(), (long) halves.value(), (long) stored.columns()),
        () -> FileMatrices.rows(model.checkpoint().require(name), rows, halves::valueRow));
  }

  private GgufType packedType(String module, PackedMatrix matrix) {
    ModuleSettings settings = ModuleSettings.of(matrix);
    Optional<GgufType> given = modules.type(module).or(() -> GgufType.of(matrix));
    Optional<String> refusal = GgufType.refusal(settings, matrix.columns());
    if (given.isEmpty() && refusal.isPresent()) {
      throw new BadInputException("%s: %s: GGUF %s".formatted(model.path(), module, refusal.get()));
    }
    return given.orElseGet(() -> GgufType.of(settings));
  }

  private static GgufType plainType(StoredTensor stored) {
    return GgufType.of(stored.type())
        .orElseThrow(() ->
            new BadInputException(
                "%s: tensor %s is neither F32, F16 nor BF16"
                    .formatted(stored.file(), stored.describe())));
  }

  private void addPacked(String module, PackedMatrix matrix, GgufPlace place, int from, int count) {
    GgufType type = packedType(module, matrix);
    int columns = matrix.columns();
    IntUnaryOperator order = order(module);
    Optional<TiledHeads> heads = description.order().columns(module);
    if (heads.filter(tiles -> !GgufColumns.fits(type, tiles.size())).isPresent()) {
      throw new BadInputException(
          "%s: columns of %s move by heads of %d, and %s has blocks of %d; leave it out with --exclude"
              .formatted(model.path(), module, heads.get().size(), type, type.block()));
    }
    weights.merge(type, (long) count * columns, Long::sum);
    tensors.add(
        place,
        type,
        ImmutableList.of((long) count, (long) columns),
        () -> {
          PackedMatrix codes = modules.find(module).orElseThrow();
          MemorySegment blocks =
              GgufBlocks.encode(module, codes, type, count, row -> order.applyAsInt(from + row));
          return moved(module, type, columns, multiplied(place, type, columns, blocks));
        });
  }

  /** Rows with their columns where the file has them. */
  private MemorySegment moved(String module, GgufType type, int columns, MemorySegment rows) {
    Optional<TiledHeads> heads = description.order().columns(module);
    if (heads.isEmpty()) {
      return rows;
    }
    MemorySegment moved = Arena.ofAuto().allocate(rows.byteSize(), 8);
    GgufColumns.move(rows, type, columns, heads.get().size(), heads.get()::inCheckpoint, moved);
    return moved;
  }

  private MemorySegment multiplied(
      GgufPlace place, GgufType type, int columns, MemorySegment blocks) {
    Multipliers multipliers = description.multipliers();
    if (multipliers.has(place.stem())) {
      GgufScales.multiply(blocks, type, columns, row -> multipliers.factor(place.stem(), row));
    }
    return blocks;
  }

  private void addPlain(String name, GgufPlace place, int from, int count) {
    StoredTensor stored = model.checkpoint().require(name);
    boolean vector = stored.shape().size() == 1;
    if (place.isConvolution() && !vector) {
      ImmutableList<Long> shape =
          ImmutableList.of(stored.shape().getFirst(), stored.shape().getLast());
      tensors.add(place, GgufType.F32, shape, () -> floats(stored, name, place));
      return;
    }
    if (vector || place.isRouter() || place.isNorm() || place.isPositions()) {
      ImmutableList<Long> shape =
          GgufRows.isVector(place.stem())
              ? ImmutableList.of(stored.shape().getLast())
              : vector ? description.vector(place.stem(), stored.elements()) : stored.shape();
      tensors.add(place, GgufType.F32, shape, () -> floats(stored, name, place));
      return;
    }
    Optional<GgufType> rounded =
        place.isEnd() ? format.ends().of(stored.columns()) : Optional.empty();
    if (rounded.isPresent()) {
      tensors.add(
          place,
          rounded.get(),
          stored.shape(),
          () ->
              multiplied(
                  place, rounded.get(), stored.columns(), GgufRounding.of(stored, rounded.get())));
      return;
    }
    addNumbers(name, place, from, count);
  }

  private void addNumbers(String name, GgufPlace place, int from, int count) {
    StoredTensor stored = model.checkpoint().require(name);
    String module = Parameters.module(name);
    GgufType type = model.isMxfp4(module) ? GgufType.MXFP4 : plainType(stored);
    boolean transposed = description.order().isTransposed(module);
    IntUnaryOperator order = order(module);
    if (description.multipliers().has(place.stem())) {
      addProducts(stored, place, plainType(stored));
      return;
    }
    if (type == GgufType.MXFP4) {
      weights.merge(type, (long) count * stored.columns(), Long::sum);
    }
    tensors.add(
        place,
        type,
        transposed
            ? stored.shape().reverse()
            : ImmutableList.of((long) count, (long) stored.columns()),
        () ->
            transposed
                ? FileMatrices.columns(stored, order)
                : moved(
                    module,
                    type,
                    stored.columns(),
                    numbers(stored, type, count, row -> order.applyAsInt(from + row))));
  }

  private static MemorySegment numbers(
      StoredTensor stored, GgufType type, int count, IntUnaryOperator order) {
    return type == GgufType.MXFP4
        ? GgufMxfp4.encode(stored, count, order)
        : FileMatrices.rows(stored, count, order);
  }

  /** Products of weights and factors, with as many bits as a weight has, but those of float16. */
  private void addProducts(StoredTensor stored, GgufPlace place, GgufType type) {
    StoredType to = type == GgufType.F32 ? StoredType.F32 : StoredType.F16;
    int columns = stored.columns();
    Multipliers multipliers = description.multipliers();
    tensors.add(
        place,
        type == GgufType.F32 ? type : GgufType.F16,
        stored.shape(),
        () -> {
          StoredTensor once = stored.once();
          MemorySegment products =
              Arena.ofAuto().allocate(stored.elements() * to.bytes(), Long.BYTES);
          for (int row = 0; row < stored.rows(); row++) {
            float factor = multipliers.factor(place.stem(), row);
            for (int column = 0; column < columns; column++) {
              long at = (long) row * columns + column;
              Elements.put(products, to, at, factor * Elements.get(once, at));
            }
          }
          return products;
        });
  }

  /** The row of the model that stands in each row of the file. */
  private IntUnaryOperator order(String module) {
    return description
        .order()
        .rows(module)
        .<IntUnaryOperator>map(rows -> rows::inCheckpoint)
        .orElse(row -> row);
  }

  private MemorySegment floats(StoredTensor stored, String name, GgufPlace place) {
    boolean weight = name.endsWith(".weight");
    float shift = place.isShifted() && weight ? description.normShift() : 0;
    IntUnaryOperator order = order(GgufOrder.module(name));
    boolean rate = StateShape.isRate(place.stem());
    int count = Math.toIntExact(stored.elements());
    int width = count / Math.toIntExact(stored.shape().getFirst());
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      int from = order.applyAsInt(i / width) * width + i % width;
      float number = Elements.get(stored, from);
      floats[i] = rate ? StateShape.rate(number) : number + shift;
    }
    return Elements.toSegment(floats);
  }
}
