package dev.gptq.backend;

/**
 * Memory of a backend's tensors.
 *
 * @param live bytes of tensors in open scopes
 * @param peak the largest {@code live} so far
 * @param reserved bytes held from the system, free lists included
 * @param most what {@code live} can grow to, as far as is known now: other processes may take
 *     memory meanwhile, or give some back
 */
public record MemoryUsage(long live, long peak, long reserved, long most) {}
