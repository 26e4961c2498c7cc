package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.BackendOptions;
import dev.gptq.cuda.KernelSource.Target;
import dev.gptq.cuda.driver.CudaFolders;
import dev.gptq.cuda.driver.MathLibrary;
import dev.gptq.cuda.driver.Nvrtc;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** What the run-time compiler is given. */
final class KernelSourceTest {
  private static KernelSource source(String text, Target target, String option) {
    return new KernelSource(
        "x.cu", text, ImmutableMap.of("x.cuh", "// x"), target, ImmutableList.of(option));
  }

  /** A device newer than the compiler gets code that its driver compiles. */
  @Test
  void newDevicesGetOlderVirtualCode() {
    List<Integer> known = List.of(75, 80, 90, 100);
    assertThat(Target.of(90, "a", known).option()).isEqualTo("--gpu-architecture=sm_90a");
    assertThat(Target.of(80, "", known).option()).isEqualTo("--gpu-architecture=sm_80");
    assertThat(Target.of(89, "", known).option()).isEqualTo("--gpu-architecture=compute_80");
    assertThat(Target.of(121, "", known).option()).isEqualTo("--gpu-architecture=compute_100");
    assertThatThrownBy(() -> Target.of(60, "", known)).hasMessageContaining("[75, 80, 90, 100]");
  }

  @Test
  void keyIsOfAllThatDecides() {
    Target target = Target.of(90, "", List.of(90));
    Set<String> keys = new HashSet<>();
    keys.add(source("a", target, "--fmad=true").key(13000, "13.0"));
    keys.add(source("b", target, "--fmad=true").key(13000, "13.0"));
    keys.add(source("a", Target.of(90, "a", List.of(90)), "--fmad=true").key(13000, "13.0"));
    keys.add(source("a", Target.of(95, "", List.of(90)), "--fmad=true").key(13000, "13.0"));
    keys.add(source("a", target, "--fmad=false").key(13000, "13.0"));
    keys.add(source("a", target, "--fmad=true").key(12080, "13.0"));
    keys.add(source("a", target, "--fmad=true").key(13000, "12.8"));
    assertThat(keys).hasSize(7).allMatch(key -> key.matches("[0-9a-f]{64}"));
    assertThat(keys).contains(source("a", target, "--fmad=true").key(13000, "13.0"));
  }

  /** With the run-time compiler itself, where it is installed; it needs no device. */
  @Test
  void compilesToEitherKind() {
    Optional<Nvrtc> found =
        MathLibrary.NVRTC
            .find(CudaFolders.of(BackendOptions.defaults(), System.getenv()))
            .map(Nvrtc::new);
    Assumptions.assumeTrue(found.isPresent(), "libnvrtc was not found");
    Nvrtc compiler = found.orElseThrow();
    assertThat(compiler.version()).matches("\\d+\\.\\d+");
    assertThat(compiler.architectures()).contains(80, 90).isSorted();
    String text = "extern \"C\" __global__ void f(int* p) { *p = 1; }";
    Target known = Target.of(90, "", compiler.architectures());
    assertThat(source(text, known, "--std=c++17").compile(compiler))
        .startsWith(0x7f, 'E', 'L', 'F');
    Target future = Target.of(999, "", compiler.architectures());
    byte[] ptx = source(text, future, "--std=c++17").compile(compiler);
    assertThat(new String(ptx, StandardCharsets.UTF_8)).contains(".visible .entry f");
    assertThat(ptx).endsWith(0);
  }
}
