package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Which files of a repository are needed. */
public abstract sealed class FileSelection permits ModelFiles, NamedFiles {
  FileSelection() {}

  /**
   * What a model needs that is read as safetensors: the shards of its index or its single file,
   * settings, tokenizer, templates, licences and code beside them. Not the same weights in other
   * formats.
   */
  public static FileSelection model() {
    return new ModelFiles();
  }

  /**
   * Files whose paths match one of these patterns, in which {@code *} stands for anything but a
   * slash and {@code **} for anything.
   */
  public static FileSelection matching(List<String> patterns) {
    return new NamedFiles(ImmutableList.copyOf(patterns));
  }

  /** Brings single small files, which may be needed to know the others. */
  @FunctionalInterface
  interface Reader {
    /** The place of the file in the cache. */
    Path load(RemoteFile file) throws IOException;
  }

  /** The files that are needed of these. Throws if there is nothing to take. */
  abstract ImmutableList<RemoteFile> choose(
      Repo repo, ImmutableList<RemoteFile> files, Reader reader) throws IOException;

  /** What a snapshot in the cache lacks, as far as it tells by itself; nothing if it will do. */
  abstract ImmutableList<String> missing(Path snapshot) throws IOException;

  /** The files of a snapshot in the cache that are meant. */
  abstract ImmutableList<String> found(Path snapshot) throws IOException;

  /** All files of a snapshot. */
  static ImmutableList<String> all(Path snapshot) throws IOException {
    try (Stream<Path> walk = Files.walk(snapshot)) {
      return walk.filter(Files::isRegularFile)
          .map(f -> snapshot.relativize(f).toString().replace('\\', '/'))
          .sorted()
          .collect(ImmutableList.toImmutableList());
    }
  }
}
