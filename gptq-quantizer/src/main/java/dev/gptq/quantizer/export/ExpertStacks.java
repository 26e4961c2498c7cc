package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Stacked;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Brings tensors of experts together where a format has one for all of a layer. */
final class ExpertStacks {
  private final Format format;
  private final String modelType;

  /**
   * Of a model, in a format.
   *
   * @param model whose experts they are
   */
  ExpertStacks(Model model, Format format) {
    this.format = format;
    this.modelType = model.config().text().stringValue("model_type", "");
  }

  /**
   * The settings by the names that the format has for the modules.
   *
   * @throws BadInputException if experts that are one module there differ, or not all are quantized
   */
  ImmutableMap<String, ModuleSettings> settings(
      Model model, ImmutableMap<String, ModuleSettings> modules) {
    Map<String, Optional<ModuleSettings>> all = new LinkedHashMap<>();
    model
        .spec()
        .linearNames()
        .forEach(module -> {
          Optional<ModuleSettings> own = Optional.ofNullable(modules.get(module));
          String name = stack(module).orElse(module);
          if (!all.computeIfAbsent(name, n -> own).equals(own)) {
            throw new BadInputException(
                "%s: --format %s has all experts of a layer in one module, %s, and they are not"
                        .formatted(module, format.id(), name)
                    + " quantized alike; select all of them or none");
          }
        });
    ImmutableMap.Builder<String, ModuleSettings> named = ImmutableMap.builder();
    all.forEach((name, own) -> own.ifPresent(settings -> named.put(name, settings)));
    return all.keySet().containsAll(modules.keySet()) ? modules : named.buildOrThrow();
  }

  /** The module that the format has in the place of this one and others, if so. */
  Optional<String> stack(String module) {
    return stacked(module).map(Stacked::module);
  }

  private Optional<Stacked> stacked(String module) {
    return format.stacked(modelType, module);
  }

  /** The tensors, with stacks behind the others. */
  Stream<StoredTensor> of(Stream<StoredTensor> tensors) {
    List<StoredTensor> seen = new ArrayList<>();
    Map<String, TreeMap<Integer, StoredTensor>> stacks = new LinkedHashMap<>();
    tensors.forEach(tensor -> {
      int end = tensor.name().lastIndexOf('.');
      Optional<Stacked> place =
          end < 0 ? Optional.empty() : stacked(tensor.name().substring(0, end));
      if (place.isEmpty()) {
        seen.add(tensor);
      } else {
        stacks
            .computeIfAbsent(
                place.get().module() + tensor.name().substring(end), name -> new TreeMap<>())
            .put(place.get().expert(), tensor);
      }
    });
    stacks.forEach(
        (name, experts) -> seen.add(stack(name, ImmutableList.copyOf(experts.values()))));
    return seen.stream();
  }

  /** Tensors of one shape, one behind the other, as float32 where their types differ. */
  private static StoredTensor stack(String name, ImmutableList<StoredTensor> parts) {
    StoredTensor first = parts.getFirst();
    boolean alike = parts.stream().allMatch(part -> part.type() == first.type());
    StoredType type = alike ? first.type() : StoredType.F32;
    ImmutableList<Long> shape =
        ImmutableList.<Long>builder().add((long) parts.size()).addAll(first.shape()).build();
    return StoredTensor.computed(name, type, shape, first.file(), () -> together(parts, type));
  }

  private static MemorySegment together(ImmutableList<StoredTensor> parts, StoredType type) {
    long bytes = parts.getFirst().elements() * type.bytes();
    MemorySegment all = Arena.ofAuto().allocate(Math.multiplyExact(bytes, parts.size()), 64);
    for (int i = 0; i < parts.size(); i++) {
      StoredTensor part = parts.get(i);
      MemorySegment to = all.asSlice(i * bytes, bytes);
      if (part.type() == type) {
        to.copyFrom(part.data());
      } else {
        MemorySegment data = part.data();
        StoredTensor once =
            StoredTensor.computed(part.name(), part.type(), part.shape(), part.file(), () -> data);
        for (long k = 0; k < part.elements(); k++) {
          Elements.put(to, type, k, Elements.get(once, k));
        }
      }
    }
    return all.asReadOnly();
  }
}
