package dev.gptq.reference;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;

/** Offers the reference backend, which runs everywhere and is chosen by {@code auto} last. */
public final class ReferenceBackendProvider implements BackendProvider {
  static final String NAME = "reference";
  static final String DEVICE = "CPU, scalar, one thread";

  /** For the service loader. */
  public ReferenceBackendProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Availability probe(BackendOptions options) {
    return new Availability.Available(0, DEVICE, ImmutableMap.of("accumulation", "float64"));
  }

  @Override
  public Backend open(BackendOptions options) {
    return new ReferenceBackend();
  }
}
