package dev.gptq.backend;

import com.google.common.collect.ImmutableList;

/**
 * Offers one backend to {@link java.util.ServiceLoader}. A provider must load on any JVM: no field,
 * parameter or import of classes that may be absent.
 */
public interface BackendProvider {

  /** The stable name for {@code --backend}: {@code reference}, {@code simd}, {@code cuda}. */
  String name();

  /** The settings that it understands; all others are refused before it is opened. */
  default ImmutableList<BackendSetting> settings() {
    return ImmutableList.of();
  }

  /** Whether the backend can run here. Quick, without side effects, never throws. */
  Availability probe(BackendOptions options);

  /**
   * Opens the backend.
   *
   * @throws BackendUnavailableException with the reason and the remedy of {@link #probe}
   */
  Backend open(BackendOptions options);
}
