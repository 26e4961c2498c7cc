package dev.gptq.formats.safetensors;

import java.nio.file.Path;

/**
 * How the download cache of the hub lays models out: {@code MODEL/snapshots/COMMIT} holds links to
 * files in {@code MODEL/blobs}.
 */
public final class DownloadCache {
  private static final String SNAPSHOTS = "snapshots";
  private static final String BLOBS = "blobs";

  private DownloadCache() {}

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
