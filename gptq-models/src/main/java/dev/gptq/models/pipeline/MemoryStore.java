package dev.gptq.models.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.pack.PackedMatrix;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Keeps finished blocks in memory, for models that are measured and not written. */
public final class MemoryStore implements BlockStore {
  private final Map<String, QuantizedModule> modules = new LinkedHashMap<>();

  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    return Optional.empty();
  }

  @Override
  public void put(int block, ImmutableMap<String, QuantizedModule> finished) {
    modules.putAll(finished);
  }

  /** All packed weights by full module name. */
  public ImmutableMap<String, PackedMatrix> packed() {
    ImmutableMap.Builder<String, PackedMatrix> packed = ImmutableMap.builder();
    modules.forEach((name, module) -> packed.put(name, module.packed()));
    return packed.buildOrThrow();
  }

  /** All reports in the order in which the modules were quantized. */
  public Iterable<ModuleReport> reports() {
    return modules.values().stream().map(QuantizedModule::report).toList();
  }
}
