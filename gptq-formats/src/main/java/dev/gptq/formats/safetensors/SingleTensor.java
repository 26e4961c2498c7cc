package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.io.MoreFiles;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Writes one tensor to a safetensors file of its own. */
public final class SingleTensor {
  private SingleTensor() {}

  /** Throws if something else than a file of one tensor of that name stands at the place. */
  public static void requireReplaceable(Path file, String name) throws IOException {
    if (!Files.exists(file)) {
      return;
    }
    if (!Files.isDirectory(file)) {
      try (Checkpoint there = Checkpoint.open(file)) {
        if (there.names().equals(ImmutableSet.of(name))) {
          return;
        }
      } catch (BadInputException e) {
        throw new BadInputException(
            file + " is not what this would replace (" + e.getMessage() + "); give another file",
            e);
      }
    }
    throw new BadInputException(
        "%s holds other things than '%s' and is not replaced; give another file"
            .formatted(file, name));
  }

  /** Writes the file whole or not at all; an existing file is replaced. */
  public static void write(
      Path file, String name, StoredType type, long[] shape, MemorySegment data)
      throws IOException {
    Path target = file.toAbsolutePath();
    Path folder = Files.createTempDirectory(target.getParent(), "." + target.getFileName());
    Path partial = folder.resolve("tensor");
    try {
      try (ShardWriter writer =
          new ShardWriter(partial, SingleTensor::create, ByteBuffer.allocateDirect(1 << 20))) {
        writer.add(name, type, shape, data);
        writer.finish(ImmutableMap.of());
      }
      Files.move(
          partial, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      MoreFiles.deleteRecursively(folder);
    }
  }

  private static FileChannel create(Path file) throws IOException {
    return FileChannel.open(
        file, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }
}
