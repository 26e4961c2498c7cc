package dev.gptq.quantizer.run;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.DeflaterOutputStream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The programs in docs/library.md compile and do what they say. */
final class LibraryPageTest {
  private static final Pattern PROGRAM = Pattern.compile("```java\\n(.*?)```", Pattern.DOTALL);
  private static final Pattern CLASS =
      Pattern.compile("^(?:public )?class (\\w+)", Pattern.MULTILINE);
  private static final Path EMBEDDED = SharedFiles.bundled("examples/embed/src/main");

  @TempDir private Path folder;

  @Test
  void theProgramOnThePageCompilesAndRuns() throws Exception {
    compile(Map.of("Example", programs().get("Example")));
    Path output = folder.resolve("w4");
    try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
      loader
          .loadClass("Example")
          .getMethod("main", String[].class)
          .invoke(
              null,
              (Object)
                  new String[] {
                    SharedFiles.bundled("examples/tiny").toString(),
                    SharedFiles.bundled("examples/text/demo-calibration.txt").toString(),
                    output.toString()
                  });
    }
    assertThat(output.resolve("model.safetensors")).exists();
    assertThat(folder.resolve("converted/config.json")).content().contains("compressed-tensors");
  }

  /** In a JVM of its own, since services are looked for once. */
  @Test
  void whatThePagePlugsInIsTheExampleProjectAndRuns() throws Exception {
    Map<String, String> programs = programs();
    programs.remove("Example");
    try (Stream<Path> files = Files.list(EMBEDDED.resolve("java/example"))) {
      assertThat(files)
          .allSatisfy(file ->
              assertThat(programs.get(file.getFileName().toString().replace(".java", "")))
                  .as("what the page has of %s", file)
                  .isEqualTo(Files.readString(file)))
          .hasSize(programs.size());
    }
    compile(programs);

    Path model = example();
    Path text = folder.resolve("text.txt.zz");
    try (OutputStream out = new DeflaterOutputStream(Files.newOutputStream(text))) {
      out.write(
          Files.readAllBytes(SharedFiles.bundled("examples/text/demo-calibration.txt")), 0, 9000);
    }
    Path printed = folder.resolve("printed.txt");
    Process plugged =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                // The reference needs no more, and starts sooner.
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                folder
                    + File.pathSeparator
                    + EMBEDDED.resolve("resources")
                    + File.pathSeparator
                    + System.getProperty("java.class.path"),
                "example.Plugged",
                model.toString(),
                text.toString(),
                folder.resolve("plain").toString())
            .redirectErrorStream(true)
            .redirectOutput(printed.toFile())
            .start();
    assertThat(plugged.waitFor()).as(Files.readString(printed)).isZero();
    assertThat(printed)
        .content()
        .contains("opened reference")
        .contains("one matrix: 2.9992676 in place of 3.0");
    assertThat(folder.resolve("plain/config.json")).content().contains("\"plain\"");
    try (Checkpoint plain = Checkpoint.open(folder.resolve("plain"))) {
      StoredTensor codes = plain.require("model.layers.0.self_attn.q_proj.codes");
      assertThat(codes.type()).isEqualTo(StoredType.U8);
    }
  }

  /** The first block of the bundled model, as a model of the page's family. */
  private Path example() throws IOException {
    Path tiny = SharedFiles.bundled("examples/tiny");
    Path model = folder.resolve("model");
    try (Checkpoint all = Checkpoint.open(tiny);
        CheckpointWriter writer = CheckpointWriter.create(model, WriterOptions.DEFAULT)) {
      for (String name : all.names()) {
        if (!name.startsWith("model.layers.") || name.startsWith("model.layers.0.")) {
          writer.add(all.require(name));
        }
      }
      writer.copyFile(tiny.resolve("tokenizer.json"));
      writer.copyFile(tiny.resolve("tokenizer_config.json"));
      String config =
          Files.readString(tiny.resolve("config.json"))
              .replace("\"llama\"", "\"example\"")
              .replace("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 1");
      writer.writeFile("config.json", config.getBytes(UTF_8));
      assertThat(writer.commit()).isEmpty();
    }
    return model;
  }

  /** Sources of the programs on the page, by the name of their class. */
  private static Map<String, String> programs() throws IOException {
    return PROGRAM
        .matcher(Files.readString(SharedFiles.bundled("docs/library.md")))
        .results()
        .map(program -> program.group(1))
        .collect(Collectors.toMap(LibraryPageTest::name, source -> source));
  }

  private static String name(String source) {
    return CLASS.matcher(source).results().findFirst().orElseThrow().group(1);
  }

  private void compile(Map<String, String> sources) throws IOException {
    List<Path> files = new ArrayList<>();
    for (Map.Entry<String, String> source : sources.entrySet()) {
      files.add(Files.writeString(folder.resolve(source.getKey() + ".java"), source.getValue()));
    }
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter messages = new StringWriter();
    boolean compiled =
        compiler
            .getTask(
                messages,
                null,
                null,
                List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path")),
                null,
                compiler
                    .getStandardFileManager(null, null, null)
                    .getJavaFileObjectsFromPaths(files))
            .call();
    assertThat(compiled).as(messages.toString()).isTrue();
  }
}
