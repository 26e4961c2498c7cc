package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import java.util.Optional;

/** Keeps the quantized modules of finished blocks. */
public interface BlockStore {
  /** The modules of a block that was finished earlier, by full name. */
  Optional<ImmutableMap<String, QuantizedModule>> find(int block);

  /** Keeps a finished block. */
  void put(int block, ImmutableMap<String, QuantizedModule> modules);
}
