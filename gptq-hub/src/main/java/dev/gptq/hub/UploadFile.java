package dev.gptq.hub;

import java.nio.file.Path;

/**
 * A file that is to be uploaded.
 *
 * @param path its path in the repository, with slashes
 * @param file where it lies
 * @param size bytes
 * @param state what it is to the repository
 */
public record UploadFile(String path, Path file, long size, State state) {
  /** What a file is to a repository. */
  public enum State {
    /** The repository has no such file. */
    NEW,
    /** The repository has another one of that name. */
    CHANGED,
    /** The repository has it. */
    UNCHANGED
  }
}
