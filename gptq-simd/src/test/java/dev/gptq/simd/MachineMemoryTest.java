package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

final class MachineMemoryTest {
  private final long total =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();

  @Test
  void tensorsMayTakeWhatTheHeapMayNot() {
    assertThat(MachineMemory.forTensors())
        .isGreaterThanOrEqualTo(total / 4)
        .isGreaterThanOrEqualTo(total - Runtime.getRuntime().maxMemory())
        .isLessThan(total);
  }
}
