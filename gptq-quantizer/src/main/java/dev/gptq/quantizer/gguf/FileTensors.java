package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufTensor;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Elements;
import dev.gptq.models.gguf.GgufPlace;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** The tensors of a file that is to be written, of which experts come one by one. */
final class FileTensors {
  private final Path model;
  private final Map<String, Growing> tensors = new LinkedHashMap<>();

  /**
   * A tensor of the file, of which perhaps not all parts are there.
   *
   * @param shape of a part
   * @param several whether the number of parts is a dimension
   */
  private record Growing(
      GgufType type,
      ImmutableList<Long> shape,
      boolean several,
      List<Supplier<MemorySegment>> parts) {

    GgufTensor finished(String name) {
      ImmutableList.Builder<Long> whole = ImmutableList.builder();
      if (several) {
        whole.add((long) parts.size());
      }
      return new GgufTensor(name, type, whole.addAll(shape).build(), ImmutableList.copyOf(parts));
    }
  }

  /** None yet, of a model that messages name. */
  FileTensors(Path model) {
    this.model = model;
  }

  /**
   * Adds a tensor, or an expert's part of one.
   *
   * @throws BadInputException if it has another type or shape than the parts before it
   */
  void add(
      GgufPlace place, GgufType type, ImmutableList<Long> shape, Supplier<MemorySegment> data) {
    boolean several = place.expert() >= 0;
    Growing tensor =
        tensors.computeIfAbsent(
            place.name(), _ -> new Growing(type, shape, several, new ArrayList<>()));
    if (tensor.type() != type || !tensor.shape().equals(shape)) {
      throw new BadInputException(
          "%s: GGUF holds all experts of %s in one tensor, and they are quantized differently"
              .formatted(model, place.name()));
    }
    if (several && place.expert() != tensor.parts().size()) {
      throw new IllegalStateException("experts of " + place.name() + " come in another order");
    }
    tensor.parts().add(data);
  }

  /** Adds a vector of float32. */
  void add(String name, float[] numbers) {
    tensors.put(
        name,
        new Growing(
            GgufType.F32,
            ImmutableList.of((long) numbers.length),
            false,
            List.of(() -> Elements.toSegment(numbers))));
  }

  /** All of them, in the order in which they came. */
  List<GgufTensor> all() {
    return tensors.entrySet().stream()
        .map(tensor -> tensor.getValue().finished(tensor.getKey()))
        .toList();
  }
}
