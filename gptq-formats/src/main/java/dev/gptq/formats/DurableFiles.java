package dev.gptq.formats;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** What it takes for files to be whole after the power has failed. */
public final class DurableFiles {
  private static final int PIECE = 1 << 16;

  private DurableFiles() {}

  /** Writes a new file and waits until the disk has it. */
  public static void write(Path file, byte[] content) throws IOException {
    write(file, new ByteArrayInputStream(content));
  }

  /** Writes all that is left of a stream to a new file and waits until the disk has it. */
  public static void write(Path file, InputStream content) throws IOException {
    byte[] piece = new byte[PIECE];
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (int count = content.read(piece); count >= 0; count = content.read(piece)) {
        ByteBuffer rest = ByteBuffer.wrap(piece, 0, count);
        while (rest.hasRemaining()) {
          channel.write(rest);
        }
      }
      channel.force(true);
    }
  }

  /**
   * Waits until the disk knows the names in a folder. Where folders cannot be opened, as on
   * Windows, the system offers no way to wait and this does nothing.
   */
  public static void syncFolder(Path folder) throws IOException {
    if (File.separatorChar == '/') {
      try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }

  /**
   * Gives a whole folder its name: waits for the names in it, renames it, and waits for the new
   * name itself. Its files have been waited for before.
   */
  public static void publishFolder(Path staging, Path target) throws IOException {
    syncFolder(staging);
    Files.move(staging, target, StandardCopyOption.ATOMIC_MOVE);
    syncFolder(target.toAbsolutePath().getParent());
  }
}
