package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The program in docs/library.md compiles and does what it says. */
final class LibraryPageTest {
  private static final Pattern PROGRAM =
      Pattern.compile("```java\\n(.*?public class (\\w+) .*?)```", Pattern.DOTALL);

  @TempDir private Path folder;

  @Test
  void theProgramOnThePageCompilesAndRuns() throws Exception {
    Matcher program = PROGRAM.matcher(Files.readString(SharedFiles.bundled("docs/library.md")));
    assertThat(program.find()).isTrue();
    Path source = folder.resolve(program.group(2) + ".java");
    Files.writeString(source, program.group(1));
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
                    .getJavaFileObjects(source.toFile()))
            .call();
    assertThat(compiled).as(messages.toString()).isTrue();

    Path output = folder.resolve("w4");
    try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
      loader
          .loadClass(program.group(2))
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
}
