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
  private static final Pattern FUNCTION =
      Pattern.compile(
          "entry function '(\\w+)' for 'sm_(\\d+)a?'\\R.*\\R" + " *(\\d+) bytes stack frame,");

  /**
   * Of 10.0 and later, for which nothing was tuned and where the widest strips want a few registers
   * more.
   */
  private static final int MOST_STACK_BYTES_OF_UNTUNED = 48;

  private static final Pattern ARITHMETIC =
      Pattern.compile("\\b(add|sub|mul|div|fma|mad|sqrt|rcp|ex2|lg2)\\.[a-z0-9.]*f(32|64)");

  @ParameterizedTest
  @ValueSource(strings = {"exact", "tolerant", "hopper"})
  void nothingIsKeptInLocalMemory(String module) throws IOException {
    String report = report(module + ".log");
    List<MatchResult> functions = FUNCTION.matcher(report).results().toList();
    assertThat(functions).isNotEmpty();
    assertThat(report.split("bytes stack frame", -1)).hasSize(functions.size() + 1);
    assertThat(functions)
        .allSatisfy(function -> {
          boolean tuned = Integer.parseInt(function.group(2)) < 100;
          assertThat(Integer.parseInt(function.group(3)))
              .as("bytes of %s on %s", function.group(1), function.group(2))
              .isLessThanOrEqualTo(tuned ? 0 : MOST_STACK_BYTES_OF_UNTUNED);
        });
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
