package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The launcher with JDKs and a Maven that only print how they were started. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the launcher is a shell script")
final class LauncherTest {
  @TempDir private Path temp;

  private Path root;
  private final Map<String, String> environment = new HashMap<>();

  /** A distribution in a folder with a space, on a machine whose only java is a 17. */
  @BeforeEach
  void prepare() throws IOException {
    temp = temp.toRealPath();
    root = Files.createDirectories(temp.resolve("my models"));
    Files.createDirectories(root.resolve("lib"));
    String script = Files.readString(Path.of(System.getProperty("gptq.root"), "gptq"));
    // The folders of the system are the one thing that no variable moves.
    String moved =
        script
            .replace("/usr/lib/jvm/*", temp + "/usr/lib/jvm/*")
            .replace("/Library/Java", temp + "/Library/Java");
    assertThat(moved).isNotEqualTo(script);
    executable(root.resolve("gptq"), moved);
    Path java17 = jdk("java17", "17.0.15");
    environment.put("HOME", temp.resolve("home").toString());
    environment.put("PATH", java17.resolve("bin") + ":/usr/bin:/bin");
    for (String name : List.of("GPTQ_JAVA_HOME", "JAVA_HOME", "SDKMAN_DIR", "GPTQ_JAVA_OPTS")) {
      environment.put(name, "");
    }
  }

  @Test
  void looksForJdksInTheDocumentedOrder() throws Exception {
    List<Path> order = new ArrayList<>();
    order.add(jdk("explicit", "25.0.1"));
    order.add(jdk("my models/jre", "25.0.3"));
    order.add(jdk("java-home", "25"));
    order.add(jdk("usr/lib/jvm/temurin-25", "25.0.3"));
    order.add(jdk("home/.sdkman/candidates/java/25-tem", "25.0.2"));
    order.add(jdk("home/.jdks/openjdk-25", "25.0.2"));
    order.add(jdk("Library/Java/JavaVirtualMachines/a.jdk/Contents/Home", "25.0.2"));
    order.add(jdk("on-path", "25.0.2"));
    environment.put("GPTQ_JAVA_HOME", order.get(0).toString());
    environment.put("JAVA_HOME", order.get(2).toString());
    environment.put("PATH", order.getLast().resolve("bin") + ":/usr/bin:/bin");
    for (Path expected : order) {
      assertThat(lines(gptq("x").out())).first().isEqualTo(expected + "/bin/java");
      Files.writeString(expected.resolve("release"), "JAVA_VERSION=\"21.0.2\"\n");
    }
    assertThat(gptq("x").status()).isEqualTo(78);
  }

  @Test
  void findsSdkmanWhereItWasMoved() throws Exception {
    Path jdk = jdk("sdk/candidates/java/25-tem", "25.0.2");
    environment.put("SDKMAN_DIR", temp.resolve("sdk").toString());
    assertThat(lines(gptq("x").out())).first().isEqualTo(jdk + "/bin/java");
  }

  @ParameterizedTest
  @ValueSource(strings = {"17.0.15", "24.0.2", "26", "2.5", "250.1"})
  void takesNoOtherVersion(String version) throws Exception {
    Path jdk = jdk("usr/lib/jvm/other", version);
    Shell.Result result = gptq("x");
    assertThat(result.status()).isEqualTo(78);
    assertThat(result.out()).isEmpty();
    assertThat(result.err())
        .contains("needs a JDK 25")
        .contains(jdk + " (version " + version + ")")
        .contains("java17 (version 17.0.15)")
        .contains("GPTQ_JAVA_HOME");
  }

  @Test
  void saysWhichFoldersAreNoJdk() throws Exception {
    Path empty = Files.createDirectories(temp.resolve("usr/lib/jvm/empty"));
    assertThat(gptq("x").err()).contains(empty + " (no JDK)");
  }

  @Test
  void worksWithoutAHomeFolder() throws Exception {
    environment.put("HOME", "");
    assertThat(gptq("x").status()).isEqualTo(78);
  }

  @Test
  void passesArgumentsAsTheyAre() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    Files.createFile(root.resolve("lib/a.jar"));
    Files.createFile(root.resolve("lib/gptq-cli.jar"));
    Shell.Result result = gptq("generate", "--prompt", "two  words $HOME *", "");
    assertThat(lines(result.out()))
        .containsSubsequence(
            "@" + root + "/config/jvm.args",
            "@" + root + "/config/generate.args",
            "-Dgptq.home=" + root,
            "-cp",
            "%1$s/lib/gptq-cli.jar:%1$s/lib/a.jar:%1$s/lib/gptq-cli.jar".formatted(root),
            "dev.gptq.cli.Main",
            "generate",
            "--prompt",
            "two  words $HOME *",
            "<empty>");
    assertThat(result.status()).as("the status of the command").isEqualTo(42);
  }

  @Test
  void onlyGenerateIsCompiledInItsOwnWay() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    assertThat(lines(gptq("eval", "--model", "generate").out()))
        .contains("@" + root + "/config/jvm.args")
        .doesNotContain("@" + root + "/config/generate.args");
  }

  @Test
  void startsWithTheClassesThatWereKept() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    String kept = "-XX:SharedArchiveFile=" + root + "/config/classes.jsa";
    assertThat(lines(gptq("x").out())).doesNotContain(kept);
    Files.createDirectories(root.resolve("config"));
    Files.createFile(root.resolve("config/classes.jsa"));
    assertThat(lines(gptq("x").out())).containsSubsequence(kept, "-Xlog:cds=off", "x");
  }

  @Test
  void startsFromTheBinFolderOfAnArchive() throws Exception {
    jdk("my models/jre", "25.0.3");
    Path bin = Files.createDirectories(root.resolve("bin"));
    Files.move(root.resolve("gptq"), bin.resolve("gptq"));
    Files.createSymbolicLink(temp.resolve("link"), bin.resolve("gptq"));
    for (String start : List.of(bin.resolve("gptq").toString(), "./link")) {
      Shell.Result result = Shell.run(temp, environment, List.of(start, "x"));
      assertThat(lines(result.out()))
          .startsWith(root + "/jre/bin/java")
          .contains("-Dgptq.home=" + root);
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void onlyLinuxGetsItsFlags() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    assertThat(lines(gptq("x").out())).contains("@" + root + "/config/linux.args");
    Path tools = Files.createDirectories(temp.resolve("darwin"));
    executable(tools.resolve("uname"), "#!/bin/sh\necho Darwin\n");
    environment.merge("PATH", tools + ":", (path, first) -> first + path);
    assertThat(gptq("x").out()).doesNotContain("linux.args").doesNotContain("large.args");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aYoungGenerationIsLargeWhereMemoryIs() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    assertThat(lines(gptq("x").out()).contains("@" + root + "/config/large.args"))
        .isEqualTo(memory() >= 30_000_000);
  }

  /** A quarter of the memory, which is the JVM's own choice, would make all of them longer. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void referencesStayShortWhereMemoryIsHuge() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    environment.put("GPTQ_JAVA_OPTS", "-Xmx40g");
    List<String> said = lines(gptq("x").out());
    String huge = "@" + root + "/config/huge.args";
    assertThat(said.contains(huge)).isEqualTo(memory() >= 125_000_000);
    assertThat(said.subList(said.indexOf(huge) + 1, said.size())).contains("-Xmx40g");
  }

  /** KiB of the machine, or less in a container. */
  private static long memory() throws IOException {
    String total = Files.readAllLines(Path.of("/proc/meminfo")).getFirst();
    long kib = Long.parseLong(total.replaceAll("\\D", ""));
    for (String file : List.of("memory.max", "memory/memory.limit_in_bytes")) {
      Path limit = Path.of("/sys/fs/cgroup").resolve(file);
      if (Files.exists(limit) && !Files.readString(limit).startsWith("max")) {
        kib = Math.min(kib, Long.parseLong(Files.readString(limit).strip()) / 1024);
      }
    }
    return kib;
  }

  @Test
  void passesJvmOptionsBeforeTheClassPath() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    environment.put("GPTQ_JAVA_OPTS", "-Xmx9g -Xint");
    assertThat(lines(gptq("x").out())).containsSubsequence("-Xmx9g", "-Xint", "-cp");
  }

  @Test
  void argumentsOfAnyScriptReachJavaInTheLocaleOfContainers() throws Exception {
    Path jdk = jdk("usr/lib/jvm/25", "25.0.3");
    executable(
        jdk.resolve("bin/java"), "#!/bin/sh\necho \"${LC_ALL:-} ${LC_CTYPE:-} ${LANG:-}\"\n");
    for (String name : List.of("LC_ALL", "LC_CTYPE", "LANG")) {
      environment.put(name, "");
    }
    assertThat(gptq("x").out()).isEqualTo(" C.UTF-8 \n");
    environment.put("LANG", "C");
    assertThat(gptq("x").out()).isEqualTo(" C.UTF-8 C\n");
    environment.put("LC_ALL", "POSIX");
    assertThat(gptq("x").out()).isEqualTo("C.UTF-8  C\n");
    Path locale = temp.resolve("java17/bin/locale");
    executable(locale, "#!/bin/sh\n[ \"$1\" = charmap ] && echo UTF-8\n");
    environment.put("LC_ALL", "de_DE.UTF-8");
    assertThat(gptq("x").out()).isEqualTo("de_DE.UTF-8  C\n");
    executable(locale, "#!/bin/sh\necho ANSI_X3.4-1968\n");
    assertThat(gptq("x").out()).as("one that is not installed").isEqualTo("C.UTF-8  C\n");
  }

  @Test
  void startsThroughSymbolicLinks() throws Exception {
    jdk("usr/lib/jvm/25", "25.0.3");
    Path links = Files.createDirectories(temp.resolve("links"));
    Files.createSymbolicLink(links.resolve("absolute"), root.resolve("gptq"));
    Files.createSymbolicLink(links.resolve("relative"), Path.of("absolute"));
    Shell.Result result = Shell.run(temp, environment, List.of("links/relative", "x"));
    assertThat(lines(result.out())).contains("-Dgptq.home=" + root);
  }

  @Test
  void buildsASourceFolderOnceAndAgainWhenASourceIsNewer() throws Exception {
    sources();
    Path jdk = jdk("usr/lib/jvm/25", "25.0.3");
    Shell.Result first = gptq("x");
    assertThat(first.err()).contains("building");
    assertThat(Files.readString(root.resolve("maven.txt")))
        .as("Maven runs on the JDK that was found")
        .contains("JAVA_HOME=" + jdk)
        .contains("package");
    Path distribution = root.resolve("gptq-cli/target/distribution");
    assertThat(lines(first.out())).contains("-Dgptq.home=" + distribution);
    assertThat(root.resolve("kept.txt")).hasContent(distribution.toString());
    assertThat(gptq("x").err()).doesNotContain("building");
    Files.createDirectories(root.resolve("gptq-core/src/main/java"));
    Files.writeString(root.resolve("gptq-core/src/main/java/New.java"), "");
    assertThat(gptq("x").err()).contains("building");
  }

  @Test
  void needsACompilerToBuild() throws Exception {
    sources();
    Path runtime = jdk("usr/lib/jvm/25-jre", "25.0.3");
    Files.delete(runtime.resolve("bin/javac"));
    assertThat(gptq("x").status()).isEqualTo(78);
  }

  @Test
  void showsWhyABuildFailed() throws Exception {
    sources();
    jdk("usr/lib/jvm/25", "25.0.3");
    executable(temp.resolve("tools/mvn"), "#!/bin/sh\necho broken source\nexit 1\n");
    Shell.Result result = gptq("x");
    assertThat(result.status()).isEqualTo(1);
    assertThat(result.err()).contains("broken source").contains("the build failed");
    assertThat(result.out()).isEmpty();
  }

  /** Turns the folder into one of sources, with a Maven that makes an empty distribution. */
  private void sources() throws IOException {
    Files.delete(root.resolve("lib"));
    Files.writeString(root.resolve("pom.xml"), "");
    Files.createDirectories(temp.resolve("tools"));
    Files.createDirectories(root.resolve("gptq-cli"));
    executable(
        root.resolve("gptq-cli/class-archive.sh"),
        "#!/bin/sh\necho \"$1\" >\"$(dirname \"$0\")/../kept.txt\"\n");
    executable(
        temp.resolve("tools/mvn"),
        """
        #!/bin/sh
        echo "JAVA_HOME=$JAVA_HOME $*" >maven.txt
        mkdir -p gptq-cli/target/distribution/lib gptq-cli/target/distribution/config
        sleep 0.01
        touch gptq-cli/target/distribution/config/build.txt
        """);
    environment.merge("PATH", temp.resolve("tools") + ":", (path, tools) -> tools + path);
  }

  private Shell.Result gptq(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(root.resolve("gptq").toString()));
    command.addAll(List.of(arguments));
    return Shell.run(temp, environment, command);
  }

  /** A JDK whose java prints its own path and its arguments, a line each. */
  private Path jdk(String folder, String version) throws IOException {
    Path home = temp.resolve(folder);
    Files.createDirectories(home.resolve("bin"));
    Files.writeString(home.resolve("release"), "JAVA_VERSION=\"" + version + "\"\n");
    executable(
        home.resolve("bin/java"),
        """
        #!/bin/sh
        echo "$0"
        for argument; do echo "${argument:-<empty>}"; done
        exit 42
        """);
    executable(home.resolve("bin/javac"), "#!/bin/sh\n");
    return home;
  }

  private static void executable(Path file, String text) throws IOException {
    Files.writeString(file, text);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private static List<String> lines(String text) {
    return text.lines().toList();
  }
}
