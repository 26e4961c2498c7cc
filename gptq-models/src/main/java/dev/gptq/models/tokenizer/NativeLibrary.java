package dev.gptq.models.tokenizer;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Loads the native part of the tokenizer library. It comes in the jar and must be a file to be
 * loaded; the library would put it into the home folder, or into one in the temporary folder that
 * anyone may have made and filled before. Here it goes into a fresh folder that only this user can
 * enter, and away again once it is loaded.
 */
final class NativeLibrary {
  /** Where the library unpacks; also an environment variable, which comes first. */
  private static final String PLACE = "ENGINE_CACHE_DIR";

  /** The same of JNA, with which the library looks at the machine. */
  private static final String HELPERS_PLACE = "jna.tmpdir";

  private static boolean loaded;

  private NativeLibrary() {}

  /** Loads it unless that was done. Throws {@link IOException} with the remedy if it cannot. */
  static synchronized void load() throws IOException {
    if (loaded) {
      return;
    }
    // It would look for a GPU build and try to download it.
    keepOrSet("RUST_FLAVOR", "cpu");
    keepOrSet("ai.djl.offline", "true");
    String temporary = System.getProperty("java.io.tmpdir");
    Path folder;
    try {
      // Private to this user: createTempDirectory gives it mode 700.
      folder = Files.createTempDirectory("gptq-tokenizer-");
    } catch (IOException e) {
      throw failed(temporary, e);
    }
    keepOrSet(PLACE, folder.toString());
    keepOrSet(HELPERS_PLACE, folder.toString());
    try {
      LibUtils.checkStatus();
      loaded = true;
    } catch (RuntimeException | LinkageError e) {
      throw failed(temporary, e);
    } finally {
      delete(folder);
    }
  }

  private static void keepOrSet(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  private static IOException failed(String temporary, Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return new IOException(
        "the tokenizer's native library (16 MB) cannot be unpacked to %s and loaded from there (%s);"
                .formatted(temporary, root.getMessage())
            + " free space there, or name another folder with"
            + " GPTQ_JAVA_OPTS=-Djava.io.tmpdir=FOLDER",
        e);
  }

  /** A loaded library needs its file no more, except on Windows, which keeps it. */
  private static void delete(Path folder) throws IOException {
    List<Path> paths;
    try (Stream<Path> tree = Files.walk(folder)) {
      paths = tree.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path path : paths) {
      if (!path.toFile().delete()) {
        path.toFile().deleteOnExit();
      }
    }
  }
}
