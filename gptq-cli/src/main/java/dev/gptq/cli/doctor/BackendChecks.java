package dev.gptq.cli.doctor;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendUnavailableException;
import dev.gptq.backend.Backends;
import dev.gptq.cli.doctor.Finding.State;
import dev.gptq.tensor.OutOfMemoryException;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.Collectors;

/** Whether each backend starts and counts right. */
final class BackendChecks {
  private static final String SLOW = "reference";

  /** AVX2's; with less, kernels run at a fraction of their speed. */
  private static final int WIDE = 256;

  private BackendChecks() {}

  static ImmutableList<Finding> all(BackendOptions options) {
    return of(Backends.discover(options), options);
  }

  static ImmutableList<Finding> of(List<Backends.Discovered> backends, BackendOptions options) {
    ImmutableList.Builder<Finding> findings = ImmutableList.builder();
    boolean fast = false;
    for (Backends.Discovered found : backends) {
      Finding finding =
          found.availability() instanceof Availability.Unavailable why
              ? new Finding(subject(found.name()), State.ABSENT, why.reason(), why.remedy())
              : start(found.name(), options);
      boolean runs = finding.state() == State.FINE || finding.state() == State.POOR;
      fast |= runs && !found.name().equals(SLOW);
      findings.add(finding);
    }
    if (!fast) {
      findings.add(
          new Finding(
              "backends",
              State.FAILS,
              "none but the reference runs, which takes hours for what others do in minutes",
              "Do what is said about the others above."));
    }
    return findings.build();
  }

  private static String subject(String backend) {
    return "backend " + backend;
  }

  private static Finding start(String name, BackendOptions options) {
    try (Backend backend = Backends.open(name, options, refused -> {})) {
      float product = product(backend);
      BackendInfo info = backend.info();
      return product == 30
          ? described(info, backend.devices())
          : new Finding(
              subject(name),
              State.ABSENT,
              "2·3 five times over is 30 but it says " + product,
              "Do not use it here, and report this with the line of your device.");
    } catch (BackendUnavailableException | OutOfMemoryException e) {
      return new Finding(
          subject(name),
          State.ABSENT,
          "it does not start: " + e.getMessage(),
          "End other programs that use its device or memory, and try again.");
    }
  }

  private static float product(Backend backend) {
    try (TensorScope scope = backend.newScope();
        Arena arena = Arena.ofConfined()) {
      Tensor c = scope.filled(0, 3, 4);
      backend.linalg().gemm(1, scope.filled(2, 3, 5), scope.filled(3, 5, 4), 0, c);
      MemorySegment values = arena.allocate(c.byteSize(), Float.BYTES);
      c.copyTo(values);
      return values.get(ValueLayout.JAVA_FLOAT, values.byteSize() - Float.BYTES);
    }
  }

  /** With a warning where vectors are narrow. */
  static Finding described(BackendInfo info, int devices) {
    String what =
        info.device()
            + (devices > 1 ? ", " + devices + " of them" : "")
            + info.features().entrySet().stream()
                .map(f -> ", " + f.getKey() + " " + f.getValue())
                .collect(Collectors.joining());
    String bits = info.features().getOrDefault("vector bits", "");
    return bits.matches("\\d+") && Integer.parseInt(bits) < WIDE
        ? new Finding(
            subject(info.name()),
            State.POOR,
            what,
            "Vectors of %s bits are slow: a processor with AVX2 or AVX-512, or a GPU, is several"
                    .formatted(bits)
                + " times as fast. In a virtual machine, let it see the processor of its host.")
        : Finding.fine(subject(info.name()), what);
  }
}
