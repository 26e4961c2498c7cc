package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Machine code of the kernels: fatbins that nvcc made when the jar was built, or else the sources,
 * which every jar holds, compiled at run time.
 */
enum KernelImages {
  /** Operations with the same bits on every backend: no contraction to fused multiply-adds. */
  EXACT("exact", "--fmad=false"),
  /** Operations that choose their own order of summation. */
  TOLERANT("tolerant", "--fmad=true"),
  /** Operations that use what only compute capability 9.0 has. */
  HOPPER("hopper", "--fmad=true");

  private static final String FOLDER = "kernels/";
  private static final Pattern INCLUDE =
      Pattern.compile("^#include \"([^\"]+)\"", Pattern.MULTILINE);

  private final String id;
  private final String contraction;

  KernelImages(String id, String contraction) {
    this.id = id;
    this.contraction = contraction;
  }

  /** The modules that a device can run. */
  static ImmutableList<KernelImages> of(CudaDevice device) {
    return Stream.of(values())
        .filter(image -> image.runsOn(device))
        .collect(ImmutableList.toImmutableList());
  }

  /** Whether a device has the instructions of this module. */
  boolean runsOn(CudaDevice device) {
    return this != HOPPER || (device.major() == 9 && device.minor() == 0);
  }

  /** Whether the jar was built with nvcc. */
  static boolean areBuiltIn() {
    return KernelImages.class.getResource(FOLDER + EXACT.id + ".fatbin") != null;
  }

  /** The fatbin in the jar. */
  MemorySegment builtIn(Arena arena) {
    byte[] image = read(id + ".fatbin");
    return arena.allocate(image.length, 16).copyFrom(MemorySegment.ofArray(image));
  }

  /**
   * The sources for a device.
   *
   * @param known architectures of the compiler
   */
  KernelSource source(CudaDevice device, List<Integer> known) {
    String source = text(id + ".cu");
    Map<String, String> headers = new LinkedHashMap<>();
    collectIncludes(source, headers);
    return new KernelSource(
        id + ".cu",
        source,
        ImmutableMap.copyOf(headers),
        KernelSource.Target.of(
            10 * device.major() + device.minor(), this == HOPPER ? "a" : "", known),
        ImmutableList.of("--std=c++17", contraction));
  }

  private static void collectIncludes(String source, Map<String, String> headers) {
    Matcher include = INCLUDE.matcher(source);
    while (include.find()) {
      String name = include.group(1);
      if (!headers.containsKey(name)) {
        String text = text(name);
        headers.put(name, text);
        collectIncludes(text, headers);
      }
    }
  }

  private static String text(String name) {
    return new String(read(name), StandardCharsets.UTF_8);
  }

  private static byte[] read(String name) {
    try (InputStream in = KernelImages.class.getResourceAsStream(FOLDER + name)) {
      if (in == null) {
        throw new IllegalStateException("the gptq-cuda jar lacks " + FOLDER + name);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + FOLDER + name + " of the gptq-cuda jar", e);
    }
  }
}
