package dev.gptq.quantizer.observe;

import dev.gptq.quantizer.pipeline.ModuleReport;

/**
 * One module with one setting, tried by an {@link Observer}.
 *
 * @param report how it went; the first attempt of each module is the first run
 * @param kept whether the checkpoint has the module like this
 */
public record Attempt(ModuleReport report, boolean kept) {}
