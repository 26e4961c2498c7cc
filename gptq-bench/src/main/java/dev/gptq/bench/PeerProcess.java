package dev.gptq.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A running {@link Peer}. */
final class PeerProcess implements AutoCloseable {
  /** Its threads wait for more work with open eyes, 2^22 cycles long. */
  private static final int SPIN_EXPONENT = 22;

  /** After which they sleep. */
  static final long SPINS_MILLISECONDS = 4;

  private final Process process;
  private final PrintStream requests;
  private final BufferedReader answers;
  private final String description;

  /**
   * Starts one with this process' own Java and class path.
   *
   * @param kernels the core type whose kernels OpenBLAS shall use
   */
  PeerProcess(int threads, String kernels) {
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseTransparentHugePages",
            "-cp",
            System.getProperty("java.class.path"),
            Peer.class.getName(),
            Integer.toString(threads));
    builder.environment().put("OPENBLAS_NUM_THREADS", Integer.toString(threads));
    builder.environment().put("OPENBLAS_CORETYPE", kernels);
    builder.environment().put("OPENBLAS_THREAD_TIMEOUT", Integer.toString(SPIN_EXPONENT));
    builder.redirectError(ProcessBuilder.Redirect.INHERIT);
    try {
      process = builder.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    requests = new PrintStream(process.getOutputStream(), true, StandardCharsets.UTF_8);
    answers = process.inputReader(StandardCharsets.UTF_8);
    description = answer();
    if (!description.contains("kernels " + kernels + ",")) {
      process.destroy();
      throw new IllegalStateException(
          "OpenBLAS did not take the kernels " + kernels + ": " + description);
    }
  }

  /** Kernels, threads, configuration. */
  String description() {
    return description;
  }

  /**
   * Runs an operation.
   *
   * @param request {@code operation a b c}
   * @return the seconds of all executions
   */
  double seconds(String request, int executions) {
    requests.println(request + " " + executions);
    return Double.parseDouble(answer());
  }

  private String answer() {
    try {
      String line = answers.readLine();
      if (line == null) {
        throw new IllegalStateException("the peer ended early; its error is printed above");
      }
      return line;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    requests.close();
    process.destroy();
  }
}
