package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedMap;
import com.google.common.collect.Maps;

/** Names and shapes of all tensors that a description reads from a full-precision checkpoint. */
public final class SpecTensors {
  private SpecTensors() {}

  /** All of them. */
  public static ImmutableSortedMap<String, ImmutableList<Long>> of(DecoderSpec spec) {
    return ImmutableSortedMap.copyOf(
        Maps.transformValues(Parameters.of(spec).tensors(), Parameters.Parameter::shape));
  }
}
