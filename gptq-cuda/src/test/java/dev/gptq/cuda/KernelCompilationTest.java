package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What nvcc reported when the kernels were built. */
final class KernelCompilationTest {
  private static final Path REPORTS =
      Path.of(System.getProperty("gptq.root"), "gptq-cuda/target/kernels");
  private static final Pattern SPILLS =
      Pattern.compile(
          "(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
  private static final Pattern ARITHMETIC =
      Pattern.compile("\\b(add|sub|mul|div|fma|mad|sqrt|rcp|ex2|lg2)\\.[a-z0-9.]*f(32|64)");

  @ParameterizedTest
  @ValueSource(strings = {"exact", "tolerant", "hopper"})
  void nothingIsKeptInLocalMemory(String module) throws IOException {
    List<MatchResult> functions = SPILLS.matcher(report(module + ".log")).results().toList();
    assertThat(functions).isNotEmpty();
    for (MatchResult function : functions) {
      assertThat(function.group())
          .isEqualTo("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads");
    }
  }

  /** A plain mul.f32 may be fused with a later addition; one that names its rounding may not. */
  @Test
  void exactArithmeticNamesItsRounding() throws IOException {
    List<String> operations =
        ARITHMETIC.matcher(report("exact.ptx")).results().map(MatchResult::group).toList();
    assertThat(operations).hasSizeGreaterThan(100);
    assertThat(operations).allMatch(operation -> operation.contains(".rn."));
  }

  private static String report(String name) throws IOException {
    Path file = REPORTS.resolve(name);
    Assumptions.assumeTrue(Files.exists(file), "the kernels were built without nvcc");
    return Files.readString(file);
  }
}
