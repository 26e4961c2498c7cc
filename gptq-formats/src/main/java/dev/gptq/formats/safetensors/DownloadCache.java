package dev.gptq.formats.safetensors;

import java.nio.file.Path;
import java.util.Optional;

/**
 * How the download cache of the hub lays models out: {@code MODEL/snapshots/COMMIT} holds links to
 * files in {@code MODEL/blobs}.
 */
public final class DownloadCache {
  private static final String SNAPSHOTS = "snapshots";
  private static final String BLOBS = "blobs";

  private static final String MODELS = "models--";

  private DownloadCache() {}

  /** The name on the hub, {@code owner/name}, of what a snapshot of a model is of. */
  public static Optional<String> repository(Path folder) {
    Path snapshots = folder.toAbsolutePath().normalize().getParent();
    if (snapshots == null || snapshots.getParent() == null || !snapshots.endsWith(SNAPSHOTS)) {
      return Optional.empty();
    }
    String name = snapshots.getParent().getFileName().toString();
    return name.startsWith(MODELS)
        ? Optional.of(name.substring(MODELS.length()).replace("--", "/"))
        : Optional.empty();
  }

  /**
   * Whether a file belongs to a folder: lies in it, or, if the folder is a snapshot, in the blobs
   * beside it. Both paths are real ones.
   */
  public static boolean isWithin(Path file, Path folder) {
    Path parent = folder.getParent();
    boolean snapshot = parent != null && parent.getParent() != null && parent.endsWith(SNAPSHOTS);
    return file.startsWith(folder) || (snapshot && file.startsWith(parent.resolveSibling(BLOBS)));
  }
}
