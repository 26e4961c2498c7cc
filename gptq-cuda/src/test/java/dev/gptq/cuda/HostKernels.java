package dev.gptq.cuda;

import com.google.common.hash.Hashing;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The kernels built for the host by g++ and {@code host_shim.h}, with one entry point a kernel. */
final class HostKernels {
  private static final Path ROOT = Path.of(System.getProperty("gptq.root"), "gptq-cuda");
  private static final Path BUILD = ROOT.resolve("target/host-kernels");
  private static final Pattern KERNEL =
      Pattern.compile(
          "extern \"C\"\\s+void\\s+(?:\\[\\[shim::cluster\\((\\d+)\\)\\]\\]\\s+)?(\\w+)\\s*\\(");

  private HostKernels() {}

  /** The shared library; empty if this machine has no g++. */
  static Optional<Path> library() {
    return Holder.LIBRARY;
  }

  /** Lazy, so that the compiler runs once a JVM and only where a test needs it. */
  private static final class Holder {
    private static final Optional<Path> LIBRARY = build();
  }

  private static Optional<Path> build() {
    if (!Tools.exists("g++")) {
      return Optional.empty();
    }
    try {
      Files.createDirectories(BUILD);
      Path sources = BUILD.resolve("kernels.cpp");
      Files.writeString(
          sources,
          "#include \"host_shim.h\"\n#include \"exact.cu\"\n#include \"tolerant.cu\"\n#include \"hopper.cu\"\n");
      String expanded = Tools.run(BUILD, gxx("-E", "-P", sources.toString()));
      StringBuilder entries = new StringBuilder(expanded);
      for (Map.Entry<String, Integer> kernel : blocksAtOnce(expanded).entrySet()) {
        entries.append(
            """

            extern "C" void entry_%1$s(unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                       unsigned by, unsigned shared, void** parameters) {
              shim::launch(gx, gy, gz, bx, by, shared, %2$d,
                           [=] { shim::call(&%1$s, parameters); });
            }
            """
                .formatted(kernel.getKey(), kernel.getValue()));
      }
      Path generated = BUILD.resolve("entries.cpp");
      Files.writeString(generated, entries);
      // The tests of several modules emulate the same kernels.
      String hash = Hashing.sha256().hashString(entries, StandardCharsets.UTF_8).toString();
      Path library = BUILD.resolve("libkernels-" + hash.substring(0, 16) + ".so");
      if (Files.exists(library)) {
        return Optional.of(library);
      }
      Path own = BUILD.resolve("libkernels-" + ProcessHandle.current().pid() + ".so");
      Tools.run(
          BUILD, gxx("-O2", "-fPIC", "-shared", "-w", "-o", own.toString(), generated.toString()));
      Files.move(own, library, StandardCopyOption.ATOMIC_MOVE);
      return Optional.of(library);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> gxx(String... options) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "g++",
                "-std=c++17",
                "-ffp-contract=off",
                "-I" + ROOT.resolve("src/test/cuda"),
                "-I" + ROOT.resolve("src/main/cuda")));
    command.addAll(List.of(options));
    return command;
  }

  /** The kernels, and how many of their blocks run together. */
  private static Map<String, Integer> blocksAtOnce(String source) {
    Map<String, Integer> kernels = new TreeMap<>();
    Matcher matcher = KERNEL.matcher(source);
    while (matcher.find()) {
      kernels.put(
          matcher.group(2), matcher.group(1) == null ? 1 : Integer.parseInt(matcher.group(1)));
    }
    return kernels;
  }
}
