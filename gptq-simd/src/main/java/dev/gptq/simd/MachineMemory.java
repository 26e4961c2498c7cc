package dev.gptq.simd;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;

/** The memory of this machine, or of the container that this process is in. */
final class MachineMemory {
  private MachineMemory() {}

  /**
   * Bytes that tensors may take: what the machine has beside the largest heap, and a quarter of the
   * machine at least. Beyond that a Linux system gives addresses first and kills the process later.
   */
  static long forTensors() {
    long total =
        ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
    return Math.max(total - Runtime.getRuntime().maxMemory(), total / 4);
  }
}
