package dev.gptq.formats;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/** Words for what the JDK says by the type of an exception alone. */
public final class FileFailure {
  private FileFailure() {}

  /** What failed, as part of a sentence: the message, or the file and what is wrong with it. */
  public static String reason(IOException failure) {
    return failure instanceof FileSystemException e && e.getReason() == null
        ? e.getFile() + ": " + fault(e)
        : String.valueOf(failure.getMessage());
  }

  private static String fault(FileSystemException failure) {
    return switch (failure) {
      case AccessDeniedException _ -> "permission denied";
      case NoSuchFileException _ -> "no such file or folder";
      case FileAlreadyExistsException _ -> "exists already";
      case DirectoryNotEmptyException _ -> "the folder is not empty";
      case NotDirectoryException _ -> "not a folder";
      default -> failure.getClass().getSimpleName();
    };
  }
}
