package dev.gptq.quantizer.observe;

import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.quantizer.pipeline.ModuleReport;

/**
 * What may differ from module to module.
 *
 * @param bits bits of a code
 * @param groupSize columns that share a scale; −1 for whole rows
 */
public record Setting(int bits, int groupSize) {

  /** The setting that a module was quantized with. */
  public static Setting of(ModuleReport report) {
    return new Setting(report.bits(), report.groupSize());
  }

  /** Bytes of a module's tensors in a GPTQ checkpoint, whatever the grid. */
  public long bytes(int rows, int columns) {
    return new ModuleSettings(bits, groupSize, true, false).bytes(rows, columns);
  }
}
