package dev.gptq.simd;

import com.sun.management.HotSpotDiagnosticMXBean;
import dev.gptq.backend.Availability;
import java.lang.management.ManagementFactory;
import java.util.Optional;

/**
 * What the virtual machine must offer for vectors to be fast: without C2 every vector is an object,
 * and without FMA instructions a fused multiply-add is computed in decimal arithmetic.
 */
final class HotSpot {
  private HotSpot() {}

  /** Why this machine cannot run the kernels, if so. */
  static Optional<Availability.Unavailable> refusal() {
    if (ModuleLayer.boot().findModule("jdk.management").isEmpty()) {
      return refusal(
          "the module jdk.management is missing, so that the processor cannot be asked",
          "Run with --add-modules jdk.management.");
    }
    HotSpotDiagnosticMXBean vm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    if (vm == null) {
      return refusal(
          "this Java virtual machine is not HotSpot", "Run with an OpenJDK build of Java 25.");
    }
    if (option(vm, "UseJVMCICompiler").equals("true")) {
      return refusal(
          "the JVMCI compiler replaces C2, which compiles vectors",
          "Run without -XX:+UseJVMCICompiler.");
    }
    if (!System.getProperty("java.vm.info", "").contains("mixed mode")
        || !option(vm, "TieredStopAtLevel").equals("4")) {
      return refusal(
          "the C2 compiler is off", "Run without -Xint, -Xcomp and -XX:TieredStopAtLevel.");
    }
    if (!option(vm, "UseFMA").equals("true")) {
      return refusal(
          "the processor has no fused multiply-add, or -XX:-UseFMA hides it",
          "Use a processor with FMA, or the reference backend.");
    }
    return Optional.empty();
  }

  private static Optional<Availability.Unavailable> refusal(String reason, String remedy) {
    return Optional.of(new Availability.Unavailable(reason, remedy));
  }

  /** The value of a flag, empty if this build of the virtual machine does not have it. */
  private static String option(HotSpotDiagnosticMXBean vm, String name) {
    try {
      return vm.getVMOption(name).getValue();
    } catch (IllegalArgumentException e) {
      return "";
    }
  }
}
