package example;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.reference.ReferenceBackendProvider;

/** A backend of another name, which lends the operations of the reference. */
public class LentBackend implements BackendProvider {
  @Override
  public String name() {
    return "lent";
  }

  @Override
  public Availability probe(BackendOptions options) {
    return new Availability.Available(-1, "borrowed", ImmutableMap.of());
  }

  @Override
  public Backend open(BackendOptions options) {
    return new ReferenceBackendProvider().open(options);
  }
}
