package dev.gptq.cli.doctor;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.BackendOptions;
import java.nio.file.Path;
import java.util.List;

/** All that is looked at. */
public final class Checkup {
  private Checkup() {}

  /** What was seen, in the order in which a run needs it. */
  public static List<Finding> all(BackendOptions options) {
    ImmutableList.Builder<Finding> findings = ImmutableList.builder();
    findings.add(MachineChecks.java(), MachineChecks.system());
    findings.addAll(BackendChecks.all(options));
    findings.add(LibraryChecks.tokenizer());
    findings.add(MachineChecks.heap(), MachineChecks.memory());
    findings.add(
        MachineChecks.disk("disk of this folder", Path.of("").toAbsolutePath()),
        MachineChecks.disk(
            "disk for temporary files", Path.of(System.getProperty("java.io.tmpdir"))));
    findings.addAll(LibraryChecks.hub());
    return findings.build();
  }
}
