package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * What an upload does.
 *
 * @param repo where to
 * @param head the commit that the repository has now, or none where it is to be created
 * @param isPrivate whether only its owner may see it
 * @param files all files of the folder; those of the repository that are not among them stay
 */
public record UploadPlan(
    Repo repo, Optional<String> head, boolean isPrivate, ImmutableList<UploadFile> files) {
  /** The files that the repository lacks or has otherwise. */
  public ImmutableList<UploadFile> changes() {
    return files.stream()
        .filter(f -> f.state() != UploadFile.State.UNCHANGED)
        .collect(ImmutableList.toImmutableList());
  }

  /** Bytes of those. */
  public long bytes() {
    return changes().stream().mapToLong(UploadFile::size).sum();
  }
}
