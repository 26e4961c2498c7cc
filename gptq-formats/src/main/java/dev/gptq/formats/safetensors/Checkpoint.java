package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableCollection;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The tensors of a checkpoint folder, mapped into memory: {@code model.safetensors}, or the shards
 * that {@code model.safetensors.index.json} names, or the one safetensors file of another name.
 * Everything that headers and index claim is checked on opening, so a tensor that can be had is a
 * whole one. May be read by several threads.
 */
public final class Checkpoint implements AutoCloseable {
  /** The name of an unsharded checkpoint's file. */
  public static final String SINGLE_FILE = "model.safetensors";

  /** The name of a sharded checkpoint's index. */
  public static final String INDEX_FILE = "model.safetensors.index.json";

  private final Path folder;
  private final Arena arena;
  private final ImmutableMap<String, StoredTensor> inFiles;
  private final ImmutableMap<String, StoredTensor> tensors;

  private Checkpoint(
      Path folder,
      Arena arena,
      ImmutableMap<String, StoredTensor> inFiles,
      ImmutableMap<String, StoredTensor> tensors) {
    this.folder = folder;
    this.arena = arena;
    this.inFiles = inFiles;
    this.tensors = tensors;
  }

  /**
   * Opens a folder, or a single safetensors file. Throws {@link BadInputException} if there is no
   * checkpoint or if anything in it is inconsistent.
   */
  public static Checkpoint open(Path path) throws IOException {
    if (!Files.exists(path)) {
      throw new BadInputException(path + " does not exist; give the folder of a checkpoint");
    }
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      ImmutableMap<String, StoredTensor> tensors = read(path, arena);
      Checkpoint checkpoint = new Checkpoint(path, arena, tensors, tensors);
      opened = true;
      return checkpoint;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static ImmutableMap<String, StoredTensor> read(Path path, Arena arena)
      throws IOException {
    if (!Files.isDirectory(path)) {
      return byName(Shard.read(path, arena));
    }
    Path single = path.resolve(SINGLE_FILE);
    if (Files.exists(single)) {
      return byName(Shard.read(single, arena));
    }
    Path index = path.resolve(INDEX_FILE);
    if (Files.exists(index)) {
      return readShards(ShardIndex.read(index), arena);
    }
    return byName(Shard.read(OtherNames.find(path), arena));
  }

  private static ImmutableMap<String, StoredTensor> byName(List<StoredTensor> tensors) {
    return tensors.stream().collect(ImmutableMap.toImmutableMap(StoredTensor::name, t -> t));
  }

  private static ImmutableMap<String, StoredTensor> readShards(ShardIndex index, Arena arena)
      throws IOException {
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (Map.Entry<String, Path> shard : index.shards().entrySet()) {
      for (StoredTensor tensor : Shard.read(shard.getValue(), arena)) {
        String listed = index.weightMap().get(tensor.name());
        if (!shard.getKey().equals(listed)) {
          throw new BadInputException(
              "%s holds tensor '%s' but %s %s; download index and shards again"
                  .formatted(
                      shard.getValue(),
                      tensor.name(),
                      index.file(),
                      listed == null ? "does not list it" : "puts it into " + listed));
        }
        tensors.put(tensor.name(), tensor);
      }
    }
    for (Map.Entry<String, String> entry : index.weightMap().entrySet()) {
      if (!tensors.containsKey(entry.getKey())) {
        throw new BadInputException(
            "%s puts tensor '%s' into %s, which does not hold it; download index and shards again"
                .formatted(index.file(), entry.getKey(), entry.getValue()));
      }
    }
    return ImmutableMap.copyOf(tensors);
  }

  /**
   * Files of another kind.
   *
   * @param path the file, as given
   * @param arena where the files are mapped; closed with the checkpoint
   * @param inFiles all that the files hold
   * @param tensors the tensors that are to be seen
   */
  public static Checkpoint of(
      Path path,
      Arena arena,
      ImmutableMap<String, StoredTensor> inFiles,
      ImmutableMap<String, StoredTensor> tensors) {
    return new Checkpoint(path, arena, inFiles, tensors);
  }

  /**
   * The same files seen as other tensors, such as decoded ones. Closing one of the two closes both.
   */
  public Checkpoint seenAs(ImmutableMap<String, StoredTensor> others) {
    return new Checkpoint(folder, arena, inFiles, others);
  }

  /** The tensors as the files hold them. */
  public ImmutableCollection<StoredTensor> inFiles() {
    return inFiles.values();
  }

  /** The folder, or the file, as given. */
  public Path folder() {
    return folder;
  }

  /** Names of all tensors, shard by shard in the order of the data. */
  public ImmutableSet<String> names() {
    return tensors.keySet();
  }

  /** The tensor of that name, if there is one. */
  public Optional<StoredTensor> find(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  /** The tensor of that name. Throws {@link BadInputException} with the nearest names if absent. */
  public StoredTensor require(String name) {
    return find(name)
        .orElseThrow(() ->
            new BadInputException(
                "%s has no tensor '%s' (nearest: %s); is config.json that of another model?"
                    .formatted(folder, name, String.join(", ", NearNames.of(name, names())))));
  }

  /** Bytes of all tensors in the files. */
  public long totalBytes() {
    return inFiles.values().stream().mapToLong(StoredTensor::byteSize).sum();
  }

  /** Unmaps the files; tensors cannot be read afterwards. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
