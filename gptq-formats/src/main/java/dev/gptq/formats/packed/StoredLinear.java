package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import dev.gptq.pack.PackedMatrix;

/**
 * A quantized module as read.
 *
 * @param matrix its weights; codes stay in the mapped file
 * @param warnings what the file claims wrongly and how it was read instead
 */
public record StoredLinear(PackedMatrix matrix, ImmutableList<String> warnings) {}
