package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import java.nio.file.Path;

/**
 * What a download brings.
 *
 * @param reference what was asked for
 * @param commit which commit its revision is now
 * @param snapshot the folder that looks like the repository at that commit, when all is there
 * @param paths the paths of the files in it
 * @param files the files that are needed; none where the cache is used without asking the hub
 * @param missing those of them that the cache lacks
 */
public record DownloadPlan(
    HubReference reference,
    String commit,
    Path snapshot,
    ImmutableList<String> paths,
    ImmutableList<RemoteFile> files,
    ImmutableList<RemoteFile> missing) {
  /** Bytes of all files. */
  public long bytes() {
    return files.stream().mapToLong(RemoteFile::size).sum();
  }

  /** Bytes of those that the cache lacks. */
  public long missingBytes() {
    return missing.stream().mapToLong(RemoteFile::size).sum();
  }
}
