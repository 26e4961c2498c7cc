package dev.gptq.formats.packed;

/**
 * Where a format keeps an expert: in a module of all experts of a layer, whose tensors have one
 * dimension more, the first.
 *
 * @param module full name of that module
 * @param expert the index of the expert
 */
public record Stacked(String module, int expert) {}
