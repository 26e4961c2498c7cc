package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlace;
import dev.gptq.formats.gguf.GgufBlocks;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.gguf.GgufTensor;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.gguf.GgufWriter;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Parameters.Parameter;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntUnaryOperator;
import java.util.function.Supplier;

/**
 * Writes a quantized model as one GGUF file, for llama.cpp and what is built on it: the codes and
 * scales of its modules, and all other matrices in their own type. Rows of queries and keys move
 * where the architecture wants the two channels that turn together side by side, and experts are
 * put together.
 */
public final class GgufExport {
  private final Model model;
  private final PackedModules modules;
  private final GgufModel description;
  private final Map<String, Growing> tensors = new LinkedHashMap<>();
  private final Map<GgufType, Long> weights = new EnumMap<>(GgufType.class);
  private int packed;

  /** A tensor of the file, of which perhaps not all experts are there. */
  private record Growing(
      GgufType type, ImmutableList<Long> shape, List<Supplier<MemorySegment>> parts) {}

  private GgufExport(Model model) {
    this.model = model;
    this.modules = model.quantization().orElseThrow();
    this.description = GgufModel.of(model);
  }

  /**
   * Writes the model in a folder and returns the number of quantized modules.
   *
   * @throws BadInputException if the model is not quantized, or GGUF has no place for something
   */
  public static int write(Path folder, Path file, boolean overwrite) throws IOException {
    GgufWriter.requireReplaceable(file, overwrite);
    OutputPlace.requireApart(file, ImmutableList.of(folder));
    try (Model model = Model.open(folder)) {
      if (model.quantization().isEmpty()) {
        throw new BadInputException(
            folder + " is not quantized; 'gptq quantize' makes a quantized checkpoint of it");
      }
      return new GgufExport(model).write(file, overwrite);
    }
  }

  private int write(Path file, boolean overwrite) throws IOException {
    for (Map.Entry<String, Parameter> parameter :
        Parameters.of(model.spec()).tensors().entrySet()) {
      add(parameter.getKey());
    }
    description.stretches().ifPresent(this::addStretches);
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.architecture", description.architecture());
    metadata.put("general.type", "model");
    metadata.put(
        "general.name", model.path().toAbsolutePath().normalize().getFileName().toString());
    description.describe(metadata);
    GgufTokenizer.describe(model, metadata);
    metadata.put("general.quantization_version", 2);
    metadata.put(
        "general.file_type",
        weights.entrySet().stream()
            .max(Map.Entry.comparingByValue())
            .orElseThrow()
            .getKey()
            .fileType());
    GgufWriter.write(
        file,
        metadata,
        tensors.entrySet().stream()
            .map(tensor -> finished(tensor.getKey(), tensor.getValue()))
            .toList(),
        overwrite);
    return packed;
  }

  private GgufTensor finished(String name, Growing tensor) {
    ImmutableList<Long> shape =
        name.contains("_exps.")
            ? ImmutableList.<Long>builder()
                .add((long) tensor.parts().size())
                .addAll(tensor.shape())
                .build()
            : tensor.shape();
    return new GgufTensor(name, tensor.type(), shape, ImmutableList.copyOf(tensor.parts()));
  }

  private void add(String name) {
    GgufNames.Place place =
        GgufNames.find(name)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: tensor %s has no place in a GGUF file of the architecture %s"
                        .formatted(model.path(), name, description.architecture())));
    if (name.endsWith(".weight") && modules.has(Parameters.module(name))) {
      addPacked(Parameters.module(name), place);
      packed++;
    } else {
      addPlain(model.checkpoint().require(name), place);
    }
  }

  private void addPacked(String module, GgufNames.Place place) {
    PackedMatrix matrix = modules.read(module).matrix();
    ModuleSettings settings = ModuleSettings.of(matrix);
    Optional<GgufType> superBlocks = GgufType.of(matrix);
    Optional<String> refusal = GgufType.refusal(settings, matrix.columns());
    if (superBlocks.isEmpty() && refusal.isPresent()) {
      throw new BadInputException("%s: GGUF %s".formatted(module, refusal.get()));
    }
    GgufType type = superBlocks.orElseGet(() -> GgufType.of(settings));
    weights.merge(type, (long) matrix.rows() * matrix.columns(), Long::sum);
    add(
        place,
        type,
        ImmutableList.of((long) matrix.rows(), (long) matrix.columns()),
        () -> GgufBlocks.encode(module, modules.read(module).matrix(), type, order(place)));
  }

  private void addPlain(StoredTensor stored, GgufNames.Place place) {
    boolean vector = stored.shape().size() == 1;
    if (vector || place.isRouter()) {
      add(place, GgufType.F32, stored.shape(), () -> floats(stored, place));
      return;
    }
    GgufType type =
        GgufType.of(stored.type())
            .orElseThrow(() ->
                new BadInputException(
                    "%s: tensor %s is neither F32, F16 nor BF16"
                        .formatted(stored.file(), stored.describe())));
    add(place, type, stored.shape(), () -> rows(stored, place));
  }

  private void add(
      GgufNames.Place place,
      GgufType type,
      ImmutableList<Long> shape,
      Supplier<MemorySegment> data) {
    Growing tensor =
        tensors.computeIfAbsent(place.name(), _ -> new Growing(type, shape, new ArrayList<>()));
    if (tensor.type() != type || !tensor.shape().equals(shape)) {
      throw new BadInputException(
          "%s: GGUF holds all experts of %s in one tensor, and they are quantized differently"
              .formatted(model.path(), place.name()));
    }
    if (place.expert() >= 0 && place.expert() != tensor.parts().size()) {
      throw new IllegalStateException("experts of " + place.name() + " come in another order");
    }
    tensor.parts().add(data);
  }

  private void addStretches(float[] stretches) {
    tensors.put(
        "rope_freqs.weight",
        new Growing(
            GgufType.F32,
            ImmutableList.of((long) stretches.length),
            List.of(() -> Elements.toSegment(stretches))));
  }

  /** The row of the model that stands in each row of the file. */
  private IntUnaryOperator order(GgufNames.Place place) {
    int size = description.headDim();
    return place.isRotated() && description.pairsNeighbours()
        ? row -> row - row % size + row % size / 2 + row % 2 * (size / 2)
        : row -> row;
  }

  private MemorySegment rows(StoredTensor stored, GgufNames.Place place) {
    MemorySegment source = stored.data();
    IntUnaryOperator order = order(place);
    long bytes = source.byteSize() / stored.rows();
    MemorySegment rows = Arena.ofAuto().allocate(source.byteSize(), 8);
    for (int row = 0; row < stored.rows(); row++) {
      MemorySegment.copy(source, order.applyAsInt(row) * bytes, rows, row * bytes, bytes);
    }
    return rows;
  }

  private MemorySegment floats(StoredTensor stored, GgufNames.Place place) {
    IntUnaryOperator order = order(place);
    int count = Math.toIntExact(stored.elements());
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = Elements.get(stored, stored.shape().size() == 1 ? order.applyAsInt(i) : i);
    }
    return Elements.toSegment(floats);
  }
}
