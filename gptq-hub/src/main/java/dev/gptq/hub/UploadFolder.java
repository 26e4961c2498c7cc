package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Maps;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The files of a folder, beside those that a repository has. */
final class UploadFolder {
  private UploadFolder() {}

  /** All files but hidden ones, which are those of version control, caches and unfinished work. */
  static ImmutableList<UploadFile> read(Path folder, List<RemoteFile> there) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new HubException(Reason.INVALID, folder + " is no folder; give one that is finished");
    }
    Map<String, RemoteFile> known = Maps.uniqueIndex(there, RemoteFile::path);
    ImmutableList.Builder<UploadFile> files = ImmutableList.builder();
    try (Stream<Path> walk = Files.walk(folder, FileVisitOption.FOLLOW_LINKS)) {
      for (Path file : (Iterable<Path>) walk.filter(Files::isRegularFile).sorted()::iterator) {
        String path = folder.relativize(file).toString().replace('\\', '/');
        if (!path.startsWith(".") && !path.contains("/.")) {
          files.add(file(Names.requirePath(path, Reason.INVALID), file, known.get(path)));
        }
      }
    }
    ImmutableList<UploadFile> found = files.build();
    if (found.isEmpty()) {
      throw new HubException(Reason.INVALID, folder + " holds no files; give one that is finished");
    }
    return found;
  }

  private static UploadFile file(String path, Path file, RemoteFile there) throws IOException {
    long size = Files.size(file);
    UploadFile.State state = UploadFile.State.NEW;
    if (there != null) {
      boolean same =
          there.size() == size && Digests.like(there.digest(), file).equals(there.digest());
      state = same ? UploadFile.State.UNCHANGED : UploadFile.State.CHANGED;
    }
    return new UploadFile(path, file, size, state);
  }
}
