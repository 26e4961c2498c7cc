package dev.gptq.quantizer.pipeline;

import java.util.List;

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
}
