package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The width of vectors shows in no bit, but for long sums at 512 bits, as docs/backends.md
 * promises. Each width takes a process; one that the processor lacks is computed without it.
 */
final class WidthsTest {
  @TempDir private Path folder;

  /** Writes the digests of results with some threads into a file. */
  public static void main(String[] arguments) throws IOException {
    ImmutableMap<String, Integer> digests = ThreadsTest.digests(Integer.parseInt(arguments[0]));
    Files.writeString(
        Path.of(arguments[1]), Joiner.on('\n').withKeyValueSeparator('=').join(digests));
  }

  private Process start(int bits, int threads) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dgptq.simd.bits=" + bits,
            "-cp",
            System.getProperty("java.class.path"),
            WidthsTest.class.getName(),
            Integer.toString(threads),
            folder.resolve(bits + "-" + threads).toString())
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve("output-" + bits).toFile())
        .start();
  }

  private Map<String, String> digests(Process process, int bits, int threads) throws Exception {
    assertThat(process.waitFor()).as(() -> "see " + folder.resolve("output-" + bits)).isZero();
    Map<String, String> digests = new TreeMap<>();
    for (String line : Files.readAllLines(folder.resolve(bits + "-" + threads))) {
      int equals = line.indexOf('=');
      digests.put(line.substring(0, equals), line.substring(equals + 1));
    }
    return digests;
  }

  /** Another width than that of this process, or with {@code -Dgptq.test.widths=true} all. */
  @Test
  void anyWidthGivesTheSameBits() throws Exception {
    boolean all = Boolean.getBoolean("gptq.test.widths");
    int[] others = all ? new int[] {128, 256, 512} : new int[] {Lanes.COUNT == 4 ? 256 : 128};
    int threads = 3;
    List<Process> processes = new ArrayList<>();
    for (int bits : others) {
      processes.add(start(bits, threads));
    }
    Map<String, String> own = new TreeMap<>();
    ThreadsTest.digests(1).forEach((name, digest) -> own.put(name, digest.toString()));
    assertThat(own).containsKey(ThreadsTest.MANY_TERMS);
    for (int i = 0; i < others.length; i++) {
      Map<String, String> expected = new TreeMap<>(own);
      Map<String, String> digests = digests(processes.get(i), others[i], threads);
      if ((others[i] == 512) != (Lanes.COUNT == 16)) {
        expected.remove(ThreadsTest.MANY_TERMS);
        digests.remove(ThreadsTest.MANY_TERMS);
      }
      assertThat(digests).as("%d bits", others[i]).isEqualTo(expected);
    }
  }
}
