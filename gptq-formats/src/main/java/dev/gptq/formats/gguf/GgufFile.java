package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A GGUF file, or all files of a split one, mapped into memory. Everything that headers claim is
 * checked on opening, so a tensor that can be had is a whole one. May be read by several threads.
 */
public final class GgufFile implements AutoCloseable {
  private final Path file;
  private final Arena arena;
  private final GgufValues values;
  private final ImmutableMap<String, GgufStored> tensors;
  private final ImmutableMap<String, StoredTensor> inFiles;

  private GgufFile(
      Path file,
      Arena arena,
      GgufValues values,
      ImmutableMap<String, GgufStored> tensors,
      ImmutableMap<String, StoredTensor> inFiles) {
    this.file = file;
    this.arena = arena;
    this.values = values;
    this.tensors = tensors;
    this.inFiles = inFiles;
  }

  /** Whether a path is a file that begins as GGUF files do. */
  public static boolean is(Path path) throws IOException {
    if (!Files.isRegularFile(path)) {
      return false;
    }
    try (InputStream input = Files.newInputStream(path)) {
      return Arrays.equals(input.readNBytes(GgufWriter.MAGIC.length), GgufWriter.MAGIC);
    }
  }

  /**
   * Opens a file; of a split one the first, beside which the others stand.
   *
   * @throws BadInputException if one is damaged, or missing, or of a kind that cannot be read
   */
  public static GgufFile open(Path file) throws IOException {
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      GgufFile result = open(file, arena);
      opened = true;
      return result;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static GgufFile open(Path file, Arena arena) throws IOException {
    GgufReader first = GgufReader.read(file, arena);
    int files = first.values().integer("split.count").orElse(1);
    Map<String, GgufStored> tensors = new LinkedHashMap<>();
    ImmutableMap.Builder<String, StoredTensor> inFiles = ImmutableMap.builder();
    for (int i = 0; i < Math.max(1, files); i++) {
      GgufReader part = i == 0 ? first : GgufReader.read(sibling(file, i, files), arena);
      requireNumber(part.values(), i);
      inFiles.put(part.header().name(), part.header());
      for (GgufStored tensor : part.tensors()) {
        if (tensors.putIfAbsent(tensor.name(), tensor) != null) {
          throw new BadInputException(
              "%s: tensor '%s' is there twice; the file is damaged, download it again"
                  .formatted(tensor.file(), tensor.name()));
        }
        inFiles.put(tensor.name(), tensor.bytes());
      }
    }
    int all = first.values().integer("split.tensors.count").orElse(tensors.size());
    if (all != tensors.size()) {
      throw new BadInputException(
          "%s: all parts together should have %d tensors but have %d; download them again"
              .formatted(file, all, tensors.size()));
    }
    return new GgufFile(
        file, arena, first.values(), ImmutableMap.copyOf(tensors), inFiles.buildOrThrow());
  }

  private static void requireNumber(GgufValues values, int expected) {
    int number = values.integer("split.no").orElse(0);
    if (number != expected) {
      throw new BadInputException(
          "%s is part %d of a split file where part %d is expected; give the first one"
              .formatted(values.file(), number + 1, expected + 1));
    }
  }

  private static Path sibling(Path file, int number, int files) {
    if (GgufShards.count(file).filter(count -> count == files).isEmpty()) {
      throw new BadInputException(
          "%s is the first of %d parts, whose names end in -00001-of-%05d.gguf; rename it"
              .formatted(file, files, files));
    }
    Path other = GgufShards.sibling(file, number, files);
    if (!Files.isRegularFile(other)) {
      throw new BadInputException(
          "%s is missing, part %d of %d of %s; download it too"
              .formatted(other, number + 1, files, file));
    }
    return other;
  }

  /** The file as given. */
  public Path file() {
    return file;
  }

  /** Its entries. */
  public GgufValues values() {
    return values;
  }

  /** Its tensors by their names, in the order of the data. */
  public ImmutableMap<String, GgufStored> tensors() {
    return tensors;
  }

  /** The same file as a checkpoint of other tensors. Closing one of the two closes both. */
  public Checkpoint seenAs(ImmutableMap<String, StoredTensor> others) {
    return Checkpoint.of(file, arena, inFiles, others);
  }

  /** Unmaps the file; tensors cannot be read afterwards. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
