package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compiled kernels between two starts. */
final class KernelCacheTest {
  @TempDir private Path home;

  private final AtomicInteger made = new AtomicInteger();

  private byte[] make() {
    return ("code " + made.incrementAndGet()).getBytes(StandardCharsets.UTF_8);
  }

  private Path folder() {
    return home.resolve(".cache/gptq/kernels");
  }

  private KernelCache cache() {
    return KernelCache.of(Map.of(), home);
  }

  private String get(String key) {
    return new String(cache().get(key, this::make), StandardCharsets.UTF_8);
  }

  @Test
  void makesOnceAndKeepsByKey() throws IOException {
    assertThat(get("a")).isEqualTo("code 1");
    assertThat(get("a")).isEqualTo("code 1");
    assertThat(get("b")).isEqualTo("code 2");
    assertThat(new String(cache().replace("a", this::make), StandardCharsets.UTF_8))
        .isEqualTo("code 3");
    assertThat(get("a")).isEqualTo("code 3");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder())))
        .isEqualTo("rwx------");
    try (var files = Files.list(folder())) {
      assertThat(files.map(file -> file.getFileName().toString())).containsOnly("a", "b");
    }
  }

  @Test
  void folderOfTheUsersChoice() {
    KernelCache chosen = KernelCache.of(Map.of("XDG_CACHE_HOME", home + "/x"), home);
    chosen.get("a", this::make);
    assertThat(home.resolve("x/gptq/kernels/a")).exists();
    KernelCache.of(Map.of("XDG_CACHE_HOME", "relative"), home).get("a", this::make);
    assertThat(folder().resolve("a")).exists();
  }

  @Test
  void nothingIsKeptForAUserWithoutAHome() {
    KernelCache.of(Map.of(), Path.of("?")).get("a", this::make);
    assertThat(Path.of("?")).doesNotExist();
  }

  @Test
  void damagedFilesAreMadeAgain() throws IOException {
    get("a");
    byte[] good = Files.readAllBytes(folder().resolve("a"));
    byte[] flipped = good.clone();
    flipped[good.length - 1] ^= 1;
    byte[] cut = Arrays.copyOf(good, 10);
    int expected = 1;
    for (byte[] bad : List.of(flipped, cut, new byte[0])) {
      Files.write(folder().resolve("a"), bad);
      assertThat(get("a")).isEqualTo("code " + ++expected);
      assertThat(get("a")).isEqualTo("code " + expected);
    }
  }

  /** Others could put code there that this user's device would run. */
  @Test
  void foldersThatOthersWriteAreNotUsed() throws IOException {
    get("a");
    Files.setPosixFilePermissions(folder(), PosixFilePermissions.fromString("rwxrwx---"));
    assertThat(get("a")).isEqualTo("code 2");
    Files.setPosixFilePermissions(folder(), PosixFilePermissions.fromString("rwx------"));
    assertThat(get("a")).isEqualTo("code 1");
  }

  /** A file where the folder should be: compiled each time, and nothing is lost. */
  @Test
  void runsWithoutAFolder() throws IOException {
    Files.createDirectories(folder().getParent());
    Files.write(folder(), new byte[1]);
    assertThat(get("a")).isEqualTo("code 1");
    assertThat(get("a")).isEqualTo("code 2");
  }

  @Test
  void writersOfTheSameFileDoNoHarm() {
    byte[] large = new byte[1 << 20];
    List<byte[]> seen =
        IntStream.range(0, 16).parallel().mapToObj(i -> cache().get("a", () -> large)).toList();
    assertThat(seen).allSatisfy(code -> assertThat(code).isEqualTo(large));
    assertThat(cache().get("a", this::make)).isEqualTo(large);
  }
}
