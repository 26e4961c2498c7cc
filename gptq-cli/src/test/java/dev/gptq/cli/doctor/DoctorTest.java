package dev.gptq.cli.doctor;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.cli.doctor.Finding.State;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is looked at, and what is said of it. */
final class DoctorTest {
  private static final BackendOptions OPTIONS = new BackendOptions(1, 0, ImmutableMap.of());

  @TempDir private Path folder;

  @Test
  void everyBackendIsStartedOrExplained() {
    List<Finding> findings = BackendChecks.all(OPTIONS);
    assertThat(findings)
        .extracting(Finding::subject)
        .contains("backend reference", "backend simd", "backend cuda");
    assertThat(findings)
        .allSatisfy(f ->
            assertThat(f.remedy().isEmpty()).as(f.toString()).isEqualTo(f.state() == State.FINE));
    assertThat(findings).noneMatch(f -> f.state() == State.FAILS);
  }

  @Test
  void aMachineWithTheReferenceAloneFails() {
    List<Backends.Discovered> backends =
        List.of(
            new Backends.Discovered("simd", new Availability.Unavailable("no", "Buy 256 bits")),
            new Backends.Discovered(
                "reference", new Availability.Available(0, "CPU", ImmutableMap.of())));
    List<Finding> findings = BackendChecks.of(backends, OPTIONS);
    assertThat(findings)
        .anySatisfy(f -> {
          assertThat(f.subject()).isEqualTo("backend simd");
          assertThat(f.state()).isEqualTo(State.ABSENT);
          assertThat(f.remedy()).contains("256");
        });
    assertThat(findings.getLast().state()).isEqualTo(State.FAILS);
  }

  @Test
  void narrowVectorsAreSaid() {
    BackendInfo narrow = new BackendInfo("simd", "CPU", ImmutableMap.of("vector bits", "128"));
    assertThat(BackendChecks.described(narrow, 1).remedy()).contains("128 bits", "AVX2");
    BackendInfo wide = new BackendInfo("simd", "CPU", ImmutableMap.of("vector bits", "256"));
    assertThat(BackendChecks.described(wide, 1))
        .isEqualTo(Finding.fine("backend simd", "CPU, vector bits 256"));
  }

  @Test
  void littleRoomIsSaid() {
    assertThat(MachineChecks.memory(4).remedy()).contains("--dry-run");
    assertThat(MachineChecks.memory(64).state()).isEqualTo(State.FINE);
    assertThat(MachineChecks.disk("disk", folder, 3.25))
        .isEqualTo(
            new Finding(
                "disk",
                State.POOR,
                "3.3 GiB free at " + folder,
                "A model of 8 billion weights and its quantized one take 24 GiB: make room, or"
                    + " choose a folder on another disk."));
    assertThat(MachineChecks.disk("disk", folder, 100).state()).isEqualTo(State.FINE);
    assertThat(MachineChecks.disk("disk", folder.resolve("not/yet/there")).what())
        .contains("GiB free");
  }

  @Test
  void thisMachineIsDescribed() {
    assertThat(MachineChecks.java().what()).contains("25");
    assertThat(MachineChecks.system().what()).contains("processors");
    assertThat(MachineChecks.memory().what()).contains("GiB");
  }

  @Test
  void aTokenizerThatDoesNotLoadFails() {
    Finding finding = LibraryChecks.tokenizer(folder);
    assertThat(finding.state()).isEqualTo(State.FAILS);
    assertThat(finding.what()).contains("tokenizer.json");
  }
}
