package dev.gptq.models.forward;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import java.util.List;
import java.util.stream.Stream;

/** The backends on the class path that run on this machine. */
final class TestBackends {
  private static final String CUDA = "cuda";

  /** The GPU, which otherwise has bfloat16 activations, as near to the CPU as it can be. */
  private static final String CUDA_WITH_FLOATS = "cuda with float32";

  private TestBackends() {}

  /** Their names; the reference is always among them. */
  static List<String> names() {
    return Backends.discover(BackendOptions.defaults()).stream()
        .filter(found -> found.availability() instanceof Availability.Available)
        .map(Backends.Discovered::name)
        .flatMap(name -> name.equals(CUDA) ? Stream.of(CUDA, CUDA_WITH_FLOATS) : Stream.of(name))
        .sorted()
        .toList();
  }

  /** Opens one of them. */
  static Backend open(String name) {
    return name.equals(CUDA_WITH_FLOATS)
        ? open(CUDA, ImmutableMap.of("cuda.activations", "f32"))
        : open(name, ImmutableMap.of());
  }

  private static Backend open(String name, ImmutableMap<String, String> settings) {
    return Backends.open(name, new BackendOptions(2, 0, settings), refused -> {});
  }
}
