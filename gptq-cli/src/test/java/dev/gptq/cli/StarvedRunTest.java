package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.fuzz.Seeds;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a run says and leaves that is short of something: one sentence, its status, nothing
 * half-written, and finished blocks only where it says so. Each run is a process of its own.
 */
@EnabledOnOs(value = OS.LINUX, disabledReason = "uses mounts, limits and users of Linux")
final class StarvedRunTest {
  private static final List<String> SLOW = List.of("--samples", "12", "--seq-len", "64");

  @TempDir private Path root;
  private final List<Path> mounts = new ArrayList<>();
  private Path model;
  private Path text;
  private Path errors;

  @BeforeEach
  void write() throws IOException {
    Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwxr-xr-x"));
    model = root.resolve("model");
    Seeds.model(model, Long.MAX_VALUE);
    text = Files.writeString(root.resolve("text.txt"), Seeds.TEXT.repeat(60));
    errors = root.resolve("errors");
  }

  @AfterEach
  void unmount() throws Exception {
    for (Path mount : mounts) {
      new ProcessBuilder("umount", mount.toString()).start().waitFor();
    }
  }

  /** A small disk in memory. */
  private Path disk(String name, String options) throws Exception {
    Path folder = Files.createDirectory(root.resolve(name));
    Process mount =
        new ProcessBuilder("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder.toString())
            .start();
    assumeTrue(mount.waitFor() == 0, "a disk of its own can be mounted (needs root)");
    mounts.add(folder);
    return folder;
  }

  private Process start(String shell, List<String> jvm, Path output, List<String> options)
      throws IOException {
    List<String> java = new ArrayList<>();
    java.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    java.addAll(
        List.of(
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED"));
    java.addAll(jvm);
    java.addAll(List.of("-cp", System.getProperty("java.class.path"), "dev.gptq.cli.Main"));
    java.addAll(List.of("quantize", "--model", model.toString(), "--group-size", "32"));
    java.addAll(List.of("--backend", "reference", "--output", output.toString()));
    java.addAll(options);
    String line = String.join(" ", java.stream().map(word -> "'" + word + "'").toList());
    return new ProcessBuilder("bash", "-c", shell + " " + line)
        .directory(root.toFile())
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(errors.toFile())
        .start();
  }

  private static final List<String> RTN = List.of("--method", "rtn");

  private List<String> gptq() {
    return Stream.concat(SLOW.stream(), Stream.of("--calibration", text.toString())).toList();
  }

  /** The only sentence, after which nothing else is said. */
  private String sentence(Process process, int status) throws Exception {
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    String said = Files.readString(errors);
    assertThat(process.exitValue()).as(said).isEqualTo(status);
    List<String> lines = said.lines().filter(line -> line.startsWith("gptq: ")).toList();
    assertThat(lines).as(said).hasSize(1);
    assertThat(said.lines().toList().getLast()).isEqualTo(lines.getFirst());
    assertThat(said).doesNotContain("\tat ");
    return lines.getFirst();
  }

  private static void signal(Process process, String name) throws Exception {
    String pid = Long.toString(process.pid());
    assertThat(new ProcessBuilder("kill", "-" + name, pid).start().waitFor()).isZero();
  }

  /** Waits until a run has kept its first block and not its last, and lets it stand still. */
  private static Path awaitBlock(Process process, Path output) throws Exception {
    while (process.isAlive()) {
      try (Stream<Path> siblings = Files.list(output.toAbsolutePath().getParent())) {
        for (Path sibling : (Iterable<Path>) siblings::iterator) {
          if (Files.isDirectory(sibling.resolve("block-00000"))) {
            signal(process, "STOP");
            return sibling;
          }
        }
      }
      Thread.sleep(5);
    }
    throw new AssertionError("the run ended before it had kept a block");
  }

  /** Waits until a run has begun its checkpoint, with its last block still to read. */
  private static void awaitBeginning(Process process, Path output) throws Exception {
    Path part = output.resolveSibling("." + output.getFileName() + ".partial").resolve("part-1");
    while (process.isAlive()) {
      if (Files.exists(part)) {
        signal(process, "STOP");
        return;
      }
      Thread.sleep(5);
    }
    throw new AssertionError("the run ended before it had begun its checkpoint");
  }

  private void assertGoesOn(Path output) throws Exception {
    Process again = start("exec", List.of(), output, gptq());
    assertThat(again.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(again.exitValue()).as(Files.readString(errors)).isZero();
    assertThat(Files.readString(errors)).contains("going on after ");
    assertThat(output.resolve("model.safetensors")).exists();
  }

  @Test
  void aDiskWithoutRoomIsRefusedBeforeTheWork() throws Exception {
    Path disk = disk("disk", "size=48k");
    String said = sentence(start("exec", List.of(), disk.resolve("out"), RTN), ExitStatus.IO_ERROR);
    assertThat(said).contains(disk.toString(), "KiB free", "for the checkpoint", "free some space");
    assertThat(disk).isEmptyDirectory();
  }

  /** Limits the size of a file: that of a block is over it. */
  @Test
  void aDiskThatIsFullForABlock() throws Exception {
    Path output = root.resolve("out");
    Process process = start("ulimit -f 4; exec", List.of("-Djava.io.tmpdir=" + root), output, RTN);
    String said = sentence(process, ExitStatus.IO_ERROR);
    assertThat(said).contains("keeping block 0", "too large");
    assertThat(output).doesNotExist();
  }

  /** Here that of the checkpoint. */
  @Test
  void aDiskThatIsFullForTheCheckpoint() throws Exception {
    Path output = root.resolve("out");
    Process process = start("ulimit -f 24; exec", List.of("-Djava.io.tmpdir=" + root), output, RTN);
    String said = sentence(process, ExitStatus.IO_ERROR);
    assertThat(said).contains("too large", "finished blocks are kept in ");
    assertThat(output).doesNotExist();
    assertThat(root.resolve(".out.partial")).doesNotExist();
    try (Stream<Path> left = Files.list(root)) {
      assertThat(left.map(path -> path.getFileName().toString()))
          .anyMatch(name -> name.startsWith(".out.work-"));
    }
  }

  @Test
  void aDiskThatCanOnlyBeRead() throws Exception {
    Path disk = disk("disk", "size=4m");
    assertThat(new ProcessBuilder("mount", "-o", "remount,ro", disk.toString()).start().waitFor())
        .isZero();
    String said = sentence(start("exec", List.of(), disk.resolve("out"), RTN), ExitStatus.IO_ERROR);
    assertThat(said).contains(disk.toString(), "Read-only").doesNotContain("kept");
  }

  /** Root without the capability to overrule permissions. */
  @Test
  void aPlaceOfAnotherUser() throws Exception {
    assumeTrue(
        "root".equals(System.getProperty("user.name")), "owners can be changed (needs root)");
    String user = "exec setpriv --bounding-set=-dac_override,-dac_read_search";
    assumeTrue(
        new ProcessBuilder("bash", "-c", user + " true").start().waitFor() == 0,
        "root can give capabilities up (needs setpriv)");
    Path place = Files.createDirectory(root.resolve("place"));
    Files.setAttribute(place, "unix:uid", 65534);
    Process process = start(user, List.of(), place.resolve("out"), RTN);
    assertThat(sentence(process, ExitStatus.IO_ERROR))
        .contains(place.toString(), "permission denied")
        .doesNotContain("kept");
    assertThat(place).isEmptyDirectory();
  }

  /** Nobody, not even root, gets past a file where a folder must be. */
  @Test
  void aWorkFolderThatIsLostOnTheWay() throws Exception {
    Path output = root.resolve("out");
    Process process = start("exec", List.of(), output, gptq());
    Path work = awaitBlock(process, output);
    Path lost = root.resolve("lost");
    Files.move(work, lost);
    Files.writeString(work, "in the way");
    signal(process, "CONT");
    assertThat(sentence(process, ExitStatus.IO_ERROR)).contains(work.toString());
    Files.delete(work);
    Files.move(lost, work);
    assertGoesOn(output);
  }

  @Test
  void aSourceThatIsCutOnTheWay() throws Exception {
    Path output = root.resolve("out");
    Process process = start("exec", List.of(), output, gptq());
    awaitBeginning(process, output);
    Path weights = model.resolve("model.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
      file.setLength(4096);
    }
    signal(process, "CONT");
    assertThat(sentence(process, ExitStatus.IO_ERROR)).contains(weights + " has 4096 bytes where");
    assertThat(output).doesNotExist();
  }

  @Test
  void twoProcessesWithOneOutput() throws Exception {
    Path output = root.resolve("out");
    Process first = start("exec", List.of(), output, gptq());
    awaitBlock(first, output);
    Files.move(errors, root.resolve("errors-of-the-first"));
    Process second = start("exec", List.of(), output, RTN);
    assertThat(sentence(second, ExitStatus.BAD_INPUT))
        .contains(output.toString(), "is being written by process " + first.pid());
    signal(first, "CONT");
    assertThat(first.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(first.exitValue()).isZero();
    assertThat(output.resolve("model.safetensors")).exists();
  }

  @Test
  void aTemporaryFolderWithoutRoom() throws Exception {
    Path disk = disk("disk", "size=64k");
    Process process =
        start(
            "exec",
            List.of("-Djava.io.tmpdir=" + disk, "-Duser.home=" + disk),
            root.resolve("out"),
            gptq());
    assertThat(sentence(process, ExitStatus.IO_ERROR)).contains(disk.toString(), "space");
    assertThat(root.resolve("out")).doesNotExist();
  }

  @Test
  void aHeapWithoutRoom() throws Exception {
    Files.writeString(text, Seeds.TEXT.repeat(400_000));
    Process process = start("exec", List.of("-Xmx24m"), root.resolve("out"), gptq());
    assertThat(sentence(process, ExitStatus.IO_ERROR))
        .contains("no memory", "GPTQ_JAVA_OPTS=-Xmx")
        .doesNotContain("kept");
    assertThat(root.resolve("out")).doesNotExist();
  }
}
