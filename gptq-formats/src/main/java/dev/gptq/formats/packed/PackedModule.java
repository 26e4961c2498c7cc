package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * A quantized module that is to be written.
 *
 * @param name its full name
 * @param matrix its weights
 * @param settings what the configuration beside it says of it: a row that is one group does not
 *     tell the group size of its model
 * @param bias its bias as the model has it
 * @param modelType the type in which the model runs
 * @param origin the file that messages about its tensors name
 */
public record PackedModule(
    String name,
    PackedMatrix matrix,
    ModuleSettings settings,
    Optional<StoredTensor> bias,
    StoredType modelType,
    Path origin) {

  /** A tensor of the module, whose name ends in a suffix. */
  public StoredTensor tensor(String suffix, StoredType type, MemorySegment data, Long... shape) {
    return new StoredTensor(
        name + "." + suffix, type, ImmutableList.copyOf(shape), origin, data.asReadOnly());
  }

  /** The same, whose elements are computed when they are asked for. */
  public StoredTensor tensor(
      String suffix, StoredType type, Supplier<MemorySegment> data, Long... shape) {
    return StoredTensor.computed(
        name + "." + suffix, type, ImmutableList.copyOf(shape), origin, data);
  }

  /** The bias by the module's own name, whatever it was called. */
  public Optional<StoredTensor> namedBias() {
    return bias.map(b -> new StoredTensor(name + ".bias", b.type(), b.shape(), b.file(), b.data()));
  }
}
