package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import java.util.Optional;

/** Keeps the quantized modules of finished blocks. */
public interface BlockStore {
  /** The modules of a block that was finished earlier, by full name. */
  Optional<ImmutableMap<String, QuantizedModule>> find(int block);

  /** Begins to keep a block. */
  BlockSink begin(int block);

  /** Keeps a whole block. */
  default void put(int block, ImmutableMap<String, QuantizedModule> modules) {
    try (BlockSink sink = begin(block)) {
      sink.add(modules.values().asList());
      sink.finish();
    }
  }
}
