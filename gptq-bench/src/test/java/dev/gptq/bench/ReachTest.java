package dev.gptq.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/**
 * That every line of the table has both of its sides; elsewhere than on x86-64 there is no peer.
 */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class ReachTest {
  private static final String KERNELS = "Haswell";

  @Test
  void everyCaseRunsOnBothSides() {
    try (Backend backend =
            Backends.open("simd", BackendOptions.defaults().withThreads(2), refused -> {});
        TensorScope scope = backend.newScope();
        PeerProcess peer = new PeerProcess(1, KERNELS)) {
      List<ReachCase> cases =
          List.of(
              ReachCase.gemm(backend, scope, 30, 20, 10),
              ReachCase.gram(backend, scope, 20, 30),
              ReachCase.factor(backend, scope, 70, "factor"),
              ReachCase.factor(backend, scope, 70, "chain"),
              ReachCase.prefill(backend, scope, 9, 40, 128),
              ReachCase.decode(backend, scope, 40, 128, 1));
      for (ReachCase c : cases) {
        c.own().run();
        double one = peer.seconds(c.peer().orElseThrow(), 1);
        assertThat(one).as(c.name()).isPositive();
        assertThat(c.work()).as(c.name()).isPositive();
      }
      ReachCase.columnLoop(backend, scope, 40, 128).own().run();
      ReachCase.forward(backend, scope, 16).own().run();
    }
  }

  @Test
  void refusesKernelsThatThePeerDoesNotTake() {
    assertThatThrownBy(() -> new PeerProcess(1, "NoSuchCore"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("NoSuchCore");
  }

  @Test
  void knowsHowBusyTheProcessorsAre() throws IOException {
    assertThat(BusyCheck.busy()).isBetween(0.0, 1.0);
    assertThat(BusyCheck.machine()).contains("processors {");
  }
}
