package dev.gptq.testkit;

import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;

/** What a conformance class opens: a provider and the options to open it with. */
public record BackendUnderTest(BackendProvider provider, BackendOptions options) {

  /** A provider with its default options. */
  public static BackendUnderTest of(BackendProvider provider) {
    return new BackendUnderTest(provider, BackendOptions.defaults());
  }
}
