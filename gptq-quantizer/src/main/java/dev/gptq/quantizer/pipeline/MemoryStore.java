package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.pack.PackedMatrix;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Keeps finished blocks in memory, for models that are measured and not written. */
public final class MemoryStore implements BlockStore, FinishedBlocks {
  private final Map<Integer, Map<String, QuantizedModule>> blocks = new LinkedHashMap<>();

  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    return Optional.empty();
  }

  @Override
  public BlockSink begin(int block) {
    return BlockSink.collecting(modules -> blocks.put(block, new LinkedHashMap<>(modules)));
  }

  @Override
  public void replace(int block, ImmutableMap<String, QuantizedModule> modules) {
    blocks.get(block).putAll(modules);
  }

  @Override
  public List<ModuleReport> reports(int block) {
    return blocks.get(block).values().stream().map(QuantizedModule::report).toList();
  }

  /** The modules of a finished block by full name. */
  public ImmutableMap<String, QuantizedModule> modules(int block) {
    return ImmutableMap.copyOf(blocks.get(block));
  }

  /** All packed weights by full module name. */
  public ImmutableMap<String, PackedMatrix> packed() {
    ImmutableMap.Builder<String, PackedMatrix> packed = ImmutableMap.builder();
    blocks
        .values()
        .forEach(modules -> modules.forEach((name, module) -> packed.put(name, module.packed())));
    return packed.buildOrThrow();
  }

  /** All reports in the order in which the modules were quantized. */
  public List<ModuleReport> reports() {
    return blocks.keySet().stream().flatMap(block -> reports(block).stream()).toList();
  }
}
