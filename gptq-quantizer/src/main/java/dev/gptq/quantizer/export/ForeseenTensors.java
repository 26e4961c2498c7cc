package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.GridSpec;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The tensors that a format will have for modules, without elements. A format is asked what it
 * makes of a module of the same shape whose codes are zeros; scales and zero points have as many
 * bits as those of most modules, since the type that a format stores them in may depend on that.
 */
final class ForeseenTensors {
  private static final String ANY = "any";
  private static final float SCALE = 0x1.02p-8f;
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** What names, types and shapes depend on. */
  private record Shape(
      GridSpec grid, int rows, int columns, int groups, Optional<StoredType> bias) {}

  private final Model model;
  private final QuantizationSettings quantization;
  private final CheckpointSettings settings;
  private final StoredType type;
  private final Map<Shape, ImmutableList<StoredTensor>> known = new HashMap<>();

  ForeseenTensors(Model model, QuantizationSettings quantization, CheckpointSettings settings) {
    this.model = model;
    this.quantization = quantization;
    this.settings = settings;
    this.type = Descriptions.type(model);
  }

  /**
   * Those of a block, in the order of its modules.
   *
   * @param modules settings of the modules that are quantized, by full name
   */
  Stream<StoredTensor> of(BlockSpec block, ImmutableMap<String, ModuleSettings> modules) {
    return block
        .linears()
        .filter(linear -> modules.containsKey(block.nameOf(linear)))
        .flatMap(linear -> {
          String name = block.nameOf(linear);
          return of(name, linear, modules.get(name)).stream()
              .map(tensor -> named(name + tensor.name().substring(ANY.length()), tensor));
        });
  }

  private ImmutableList<StoredTensor> of(String name, LinearSpec linear, ModuleSettings module) {
    GptqOptions options = quantization.optionsOf(name);
    Optional<StoredTensor> bias = model.checkpoint().find(name + ".bias");
    Shape shape =
        new Shape(
            options.grid(),
            linear.outputs(),
            linear.inputs(),
            linear.inputs() / options.groupColumns(linear.inputs()),
            bias.map(StoredTensor::type));
    return known.computeIfAbsent(shape, any -> encode(any, module, bias));
  }

  private ImmutableList<StoredTensor> encode(
      Shape shape, ModuleSettings module, Optional<StoredTensor> bias) {
    try (Arena arena = Arena.ofShared()) {
      return settings
          .format()
          .encode(new PackedModule(ANY, matrix(shape, arena), module, bias, type, model.path()))
          .stream()
          .map(tensor -> named(tensor.name(), tensor))
          .collect(ImmutableList.toImmutableList());
    }
  }

  private static PackedMatrix matrix(Shape shape, Arena arena) {
    GridSpec grid = shape.grid();
    long numbers = (long) shape.groups() * shape.rows();
    int words = BitStream.words(shape.columns(), grid.bits());
    return new PackedMatrix(
        grid.scheme(),
        grid.bits(),
        shape.rows(),
        shape.columns(),
        shape.groups(),
        arena.allocate((long) Integer.BYTES * words * shape.rows()),
        constant(numbers, SCALE, arena),
        grid.scheme().hasZeroPoint()
            ? Optional.of(constant(numbers, grid.scheme().maxCode(grid.bits()), arena))
            : Optional.empty(),
        Optional.empty());
  }

  private static MemorySegment constant(long count, float value, Arena arena) {
    MemorySegment all = arena.allocate(Float.BYTES * count);
    for (long i = 0; i < count; i++) {
      all.set(FLOAT, Float.BYTES * i, value);
    }
    return all;
  }

  /** A tensor of that name without elements. */
  private static StoredTensor named(String name, StoredTensor like) {
    return StoredTensor.computed(
        name,
        like.type(),
        like.shape(),
        like.file(),
        () -> {
          throw new IllegalStateException("the elements of " + name + " are not there yet");
        });
  }
}
