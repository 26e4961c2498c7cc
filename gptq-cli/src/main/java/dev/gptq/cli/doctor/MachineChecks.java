package dev.gptq.cli.doctor;

import dev.gptq.cli.doctor.Finding.State;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import javax.management.JMException;
import javax.management.ObjectName;

/** Java and the machine. */
final class MachineChecks {
  private static final double GIB = 1L << 30;

  /** A checkpoint of 8 billion weights and the quantized one beside it. */
  private static final double ROOMY_DISK = 24;

  /** What a few blocks of a model of that size and their Hessians take. */
  private static final double ROOMY_MEMORY = 12;

  private MachineChecks() {}

  static Finding java() {
    String what =
        "%s %s in %s"
            .formatted(
                System.getProperty("java.vm.name"),
                Runtime.version(),
                System.getProperty("java.home"));
    return Runtime.version().feature() == 25
        ? Finding.fine("Java", what)
        : new Finding(
            "Java",
            State.POOR,
            what,
            "This program is tested on JDK 25: set GPTQ_JAVA_HOME to the folder of one.");
  }

  static Finding system() {
    return Finding.fine(
        "system",
        "%s %s, %s, %d processors"
            .formatted(
                System.getProperty("os.name"),
                System.getProperty("os.version"),
                System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors()));
  }

  static Finding heap() {
    double limit = Runtime.getRuntime().maxMemory() / GIB;
    String what = String.format(Locale.ROOT, "%.1f GiB at most", limit);
    return limit >= 1
        ? Finding.fine("Java heap", what)
        : new Finding(
            "Java heap",
            State.POOR,
            what,
            "Files with many tensors need more: GPTQ_JAVA_OPTS=-Xmx2g");
  }

  static Finding memory() {
    try {
      Object bytes =
          ManagementFactory.getPlatformMBeanServer()
              .getAttribute(
                  new ObjectName(ManagementFactory.OPERATING_SYSTEM_MXBEAN_NAME),
                  "TotalMemorySize");
      return memory(((Number) bytes).longValue() / GIB);
    } catch (JMException e) {
      return new Finding(
          "memory",
          State.POOR,
          "this Java does not tell how much there is",
          "'gptq quantize --dry-run' says how much a run needs.");
    }
  }

  static Finding memory(double total) {
    String what = String.format(Locale.ROOT, "%.1f GiB", total);
    return total >= ROOMY_MEMORY
        ? Finding.fine("memory", what)
        : new Finding(
            "memory",
            State.POOR,
            what,
            "Enough for small models; 'gptq quantize --dry-run' says how much a run needs, and fewer"
                + " --samples need less.");
  }

  static Finding disk(String subject, Path folder) {
    try {
      double free = Files.getFileStore(existing(folder)).getUsableSpace() / GIB;
      return disk(subject, folder, free);
    } catch (IOException e) {
      return new Finding(
          subject,
          State.POOR,
          folder + " cannot be looked at: " + e.getMessage(),
          "Choose another folder, or ask who runs this machine.");
    }
  }

  static Finding disk(String subject, Path folder, double free) {
    String what = String.format(Locale.ROOT, "%.1f GiB free at %s", free, folder);
    return free >= ROOMY_DISK
        ? Finding.fine(subject, what)
        : new Finding(
            subject,
            State.POOR,
            what,
            "A model of 8 billion weights and its quantized one take %.0f GiB: make room, or choose"
                    .formatted(ROOMY_DISK)
                + " a folder on another disk.");
  }

  private static Path existing(Path folder) {
    Path path = folder.toAbsolutePath();
    while (!Files.exists(path)) {
      path = path.getParent();
    }
    return path;
  }
}
