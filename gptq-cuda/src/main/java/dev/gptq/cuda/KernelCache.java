package dev.gptq.cuda;

import com.google.common.base.Strings;
import com.google.common.hash.Hashing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * What the run-time compiler made, kept for the next start: a file for each key, in a folder that
 * no one else may write, since the device runs what is in it. A file holds the digest of its
 * contents before them; one that is damaged is made again. Files appear by a rename, so that
 * processes which write the same one at the same time do no harm. A folder that cannot be used
 * costs the time of compiling, and the log says why.
 */
final class KernelCache {
  private static final System.Logger LOG = System.getLogger("dev.gptq.cuda");
  private static final int DIGEST_BYTES = 32;
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");
  private static final Set<PosixFilePermission> WRITABLE_BY_OTHERS =
      Set.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);

  private final Path folder;

  /** In that folder, which need not exist. */
  KernelCache(Path folder) {
    this.folder = folder;
  }

  /** The folder of this program in {@code XDG_CACHE_HOME}, or else in {@code .cache} of home. */
  static KernelCache of(Map<String, String> environment, Path home) {
    String cache = Strings.nullToEmpty(environment.get("XDG_CACHE_HOME"));
    Path base = Path.of(cache).isAbsolute() ? Path.of(cache) : home.resolve(".cache");
    return new KernelCache(base.resolve("gptq").resolve("kernels"));
  }

  /**
   * What is kept under a key, which is made of letters and digits; else what is made, then kept.
   */
  byte[] get(String key, Supplier<byte[]> make) {
    return find(key).orElseGet(() -> replace(key, make));
  }

  /** Makes it again, and keeps that. */
  byte[] replace(String key, Supplier<byte[]> make) {
    byte[] made = make.get();
    try {
      keep(folder.resolve(key), made);
    } catch (IOException | UnsupportedOperationException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "compiled kernels are not kept for the next start: " + describe(e));
    }
    return made;
  }

  private Optional<byte[]> find(String key) {
    Path file = folder.resolve(key);
    try {
      requirePrivate();
      byte[] kept = Files.readAllBytes(file);
      if (kept.length > DIGEST_BYTES) {
        byte[] contents = Arrays.copyOfRange(kept, DIGEST_BYTES, kept.length);
        if (Arrays.equals(digest(contents), Arrays.copyOf(kept, DIGEST_BYTES))) {
          return Optional.of(contents);
        }
      }
      LOG.log(System.Logger.Level.INFO, "{0} is damaged and is made again", file);
    } catch (NoSuchFileException absent) {
      LOG.log(System.Logger.Level.DEBUG, "{0} is not there yet", file);
    } catch (IOException | UnsupportedOperationException e) {
      LOG.log(System.Logger.Level.INFO, "kept kernels are not used: " + describe(e));
    }
    return Optional.empty();
  }

  private void keep(Path file, byte[] contents) throws IOException {
    if (!folder.isAbsolute()) {
      // Java calls the home of a user whom the system does not know "?".
      throw new IOException("this user has no home folder; set XDG_CACHE_HOME to a folder");
    }
    Files.createDirectories(folder.getParent());
    if (!Files.exists(folder)) {
      Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(PRIVATE));
    }
    requirePrivate();
    // A temporary file can be read and written by its owner only.
    Path written = Files.createTempFile(folder, "new", null);
    try {
      byte[] whole = Arrays.copyOf(digest(contents), DIGEST_BYTES + contents.length);
      System.arraycopy(contents, 0, whole, DIGEST_BYTES, contents.length);
      Files.write(written, whole);
      Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(written);
    }
  }

  private void requirePrivate() throws IOException {
    for (PosixFilePermission permission : Files.getPosixFilePermissions(folder)) {
      if (WRITABLE_BY_OTHERS.contains(permission)) {
        throw new IOException(folder + " can be written by others; take that right from them");
      }
    }
  }

  private static String describe(Exception e) {
    return e.getClass().getSimpleName() + " (" + e.getMessage() + ")";
  }

  private static byte[] digest(byte[] contents) {
    return Hashing.sha256().hashBytes(contents).asBytes();
  }
}
