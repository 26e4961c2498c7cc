package dev.gptq.models.forward;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import java.util.List;

/** The backends on the class path that run on this machine. */
public final class TestBackends {
  private TestBackends() {}

  /** Their names; the reference is always among them. */
  public static List<String> names() {
    return Backends.discover(BackendOptions.defaults()).stream()
        .filter(candidate -> candidate.availability() instanceof Availability.Available)
        .map(Backends.Candidate::name)
        .sorted()
        .toList();
  }

  /** Opens one of them. */
  public static Backend open(String name) {
    return Backends.open(name, BackendOptions.defaults().withThreads(2), refused -> {});
  }
}
