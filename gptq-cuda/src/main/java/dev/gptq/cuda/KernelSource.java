package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.cuda.driver.Nvrtc;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * What the run-time compiler is given for a device.
 *
 * @param name of the main file
 * @param text of the main file
 * @param headers text of the files it includes, by name
 * @param target machine code, or code for a virtual machine that the driver compiles
 * @param options the others
 */
record KernelSource(
    String name,
    String text,
    ImmutableMap<String, String> headers,
    Target target,
    ImmutableList<String> options) {

  /**
   * What code is made for.
   *
   * @param architecture as the compiler counts, 90 for compute capability 9.0
   * @param machine whether it is machine code
   */
  record Target(int architecture, String suffix, boolean machine) {

    /**
     * Machine code for a device that the compiler knows; otherwise code for the newest virtual
     * machine it knows that is not newer than the device.
     *
     * @param known architectures of the compiler, ascending
     * @param suffix of architectures with instructions that no other has
     */
    static Target of(int architecture, String suffix, List<Integer> known) {
      if (known.contains(architecture)) {
        return new Target(architecture, suffix, true);
      }
      return known.stream()
          .filter(older -> older < architecture)
          .max(Integer::compare)
          .map(older -> new Target(older, "", false))
          .orElseThrow(() ->
              new IllegalArgumentException(
                  "the run-time compiler knows architectures " + known + " only"));
    }

    String option() {
      return "--gpu-architecture=" + (machine ? "sm_" : "compute_") + architecture + suffix;
    }
  }

  /** The name of the code in the cache: a digest of all that decides it. */
  String key(int driverVersion, String compilerVersion) {
    Hasher hasher = Hashing.sha256().newHasher();
    headers.forEach((header, contents) -> put(hasher, header, contents));
    put(hasher, name, text, target.option(), compilerVersion, String.valueOf(driverVersion));
    put(hasher, options.toArray(String[]::new));
    return hasher.hash().toString();
  }

  private static void put(Hasher hasher, String... texts) {
    for (String text : texts) {
      hasher.putInt(text.length()).putString(text, StandardCharsets.UTF_8);
    }
  }

  byte[] compile(Nvrtc compiler) {
    ImmutableList<String> all =
        ImmutableList.<String>builder().add(target.option()).addAll(options).build();
    return compiler.compile(name, text, headers, all, target.machine());
  }
}
