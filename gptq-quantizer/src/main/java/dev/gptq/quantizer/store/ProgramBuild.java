package dev.gptq.quantizer.store;

import com.google.common.base.Splitter;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.CRC32C;

/** Which build of this program runs. */
final class ProgramBuild {
  private ProgramBuild() {}

  /** A checksum of the jars of this program, which are the same for the same sources. */
  static String checksum() throws IOException {
    CRC32C checksum = new CRC32C();
    int jars = 0;
    String classPath = System.getProperty("java.class.path");
    for (String entry : Splitter.on(File.pathSeparatorChar).split(classPath)) {
      Path path = Path.of(entry);
      String name = String.valueOf(path.getFileName());
      if (name.startsWith("gptq-") && name.endsWith(".jar") && Files.isRegularFile(path)) {
        checksum.update(Files.readAllBytes(path));
        jars++;
      }
    }
    return jars == 0
        ? "unpacked classes"
        : String.format(Locale.ROOT, "%d jars, %08x", jars, checksum.getValue());
  }
}
