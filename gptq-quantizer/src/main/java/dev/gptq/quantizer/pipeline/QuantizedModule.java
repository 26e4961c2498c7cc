package dev.gptq.quantizer.pipeline;

import dev.gptq.pack.PackedMatrix;

/**
 * A quantized module.
 *
 * @param packed its weights in host memory
 * @param report how it went
 */
public record QuantizedModule(PackedMatrix packed, ModuleReport report) {}
