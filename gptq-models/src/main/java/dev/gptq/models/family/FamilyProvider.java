package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;

/**
 * Brings model families. A jar on the class path that names an implementation in {@code
 * META-INF/services/dev.gptq.models.family.FamilyProvider} adds what it brings.
 */
public interface FamilyProvider {
  /** The families. */
  ImmutableList<ModelFamily> families();
}
