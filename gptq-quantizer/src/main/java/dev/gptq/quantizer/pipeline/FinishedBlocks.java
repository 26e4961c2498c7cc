package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import java.util.List;

/** Finished blocks whose modules may be quantized again. */
public interface FinishedBlocks {
  /** The reports of a finished block, in the order in which its modules were quantized. */
  List<ModuleReport> reports(int block);

  /** Puts modules that were quantized again in the place of those of a finished block. */
  void replace(int block, ImmutableMap<String, QuantizedModule> modules);
}
