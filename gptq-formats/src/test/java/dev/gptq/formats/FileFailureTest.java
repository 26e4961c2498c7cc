package dev.gptq.formats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileFailureTest {
  @Test
  void saysInWordsWhatTheTypeSays() {
    assertThat(FileFailure.reason(new AccessDeniedException("a/b")))
        .isEqualTo("a/b: permission denied");
    assertThat(FileFailure.reason(new NoSuchFileException("a/b")))
        .isEqualTo("a/b: no such file or folder");
    assertThat(FileFailure.reason(new FileAlreadyExistsException("a/b")))
        .isEqualTo("a/b: exists already");
    assertThat(FileFailure.reason(new DirectoryNotEmptyException("a/b")))
        .isEqualTo("a/b: the folder is not empty");
    assertThat(FileFailure.reason(new FileSystemLoopException("a/b")))
        .isEqualTo("a/b: FileSystemLoopException");
  }

  @Test
  void leavesWhatHasWordsAlone() {
    assertThat(FileFailure.reason(new IOException("No space left on device")))
        .isEqualTo("No space left on device");
    assertThat(FileFailure.reason(new FileSystemException("a/b", null, "Read-only file system")))
        .isEqualTo("a/b: Read-only file system");
  }

  @Test
  void readsWhatTheSystemThrows(@TempDir Path folder) {
    IOException failure =
        catchThrowableOfType(IOException.class, () -> Files.size(folder.resolve("absent")));
    assertThat(FileFailure.reason(failure)).endsWith("absent: no such file or folder");
  }
}
