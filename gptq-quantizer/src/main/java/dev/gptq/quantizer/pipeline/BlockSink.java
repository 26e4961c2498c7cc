package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Where the modules of a block go while others of it are still being quantized. The block is found
 * when it is finished; if it is closed before, nothing of it is.
 */
public interface BlockSink extends AutoCloseable {
  /** Keeps modules, behind those that came before. They are as they will stay. */
  void add(List<QuantizedModule> modules);

  /** Says that all modules have come. */
  void finish();

  @Override
  void close();

  /** A sink that keeps modules in memory, and gives them away by name when all have come. */
  static BlockSink collecting(Consumer<ImmutableMap<String, QuantizedModule>> finished) {
    Map<String, QuantizedModule> come = new LinkedHashMap<>();
    return new BlockSink() {
      @Override
      public void add(List<QuantizedModule> modules) {
        modules.forEach(module -> come.put(module.report().name(), module));
      }

      @Override
      public void finish() {
        finished.accept(ImmutableMap.copyOf(come));
      }

      @Override
      public void close() {}
    };
  }
}
