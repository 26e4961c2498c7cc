package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a checkpoint with the shapes of a published model and random weights of the type that it
 * is published in, sharded as published ones are. It says nothing, but quantizing it takes the time
 * and the memory that the real one takes. The same shape always gives the same bytes.
 */
public final class SyntheticCheckpoint {
  private static final long SHARD_BYTES = 5_000_000_000L;
  private static final List<String> TOKENIZER = List.of("tokenizer.json", "tokenizer_config.json");

  private final Path folder;
  private final Map<String, NormalBits> tables = new ConcurrentHashMap<>();

  private SyntheticCheckpoint(Path folder) {
    this.folder = folder;
  }

  /** {@code SyntheticCheckpoint SHAPE FOLDER MODEL}: a new folder with the tokenizer of MODEL. */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 3) {
      throw new IllegalArgumentException("usage: SyntheticCheckpoint SHAPE FOLDER MODEL");
    }
    long start = System.nanoTime();
    long bytes =
        write(ModelShape.named(arguments[0]), Path.of(arguments[1]), Path.of(arguments[2]));
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "wrote %.2f GB to %s in %.1f s, %.2f GB/s%n",
        bytes / 1e9,
        arguments[1],
        seconds,
        bytes / 1e9 / seconds);
  }

  /**
   * Writes a checkpoint.
   *
   * @param folder is made and must be empty
   * @param model folder whose tokenizer is copied; its vocabulary must not be larger
   * @return bytes of all tensors
   */
  public static long write(ModelShape shape, Path folder, Path model) throws IOException {
    Files.createDirectories(folder);
    return new SyntheticCheckpoint(folder).write(shape, model);
  }

  private long write(ModelShape shape, Path model) throws IOException {
    List<SyntheticShard> shards = shards(shape);
    List<Runnable> pieces = new ArrayList<>();
    ObjectNode index = JsonMapper.shared().createObjectNode();
    ObjectNode files = index.putObject("weight_map");
    long bytes = 0;
    for (SyntheticShard shard : shards) {
      for (TensorShape tensor : shard.tensors()) {
        files.put(tensor.name(), shard.file().getFileName().toString());
      }
      for (SyntheticShard.Piece piece : shard.begin()) {
        pieces.add(() -> write(shard, piece));
        bytes += piece.bytes();
      }
    }
    index.putObject("metadata").put("total_size", bytes);
    Files.writeString(folder.resolve("model.safetensors.index.json"), index.toString());
    Files.writeString(folder.resolve("config.json"), shape.config().toPrettyString());
    for (String file : TOKENIZER) {
      Files.copy(model.resolve(file), folder.resolve(file));
    }
    pieces.stream().parallel().forEach(Runnable::run);
    return bytes;
  }

  private List<SyntheticShard> shards(ModelShape shape) {
    List<List<TensorShape>> parts = new ArrayList<>();
    long room = 0;
    for (TensorShape tensor : shape.tensors()) {
      long bytes = Short.BYTES * tensor.elements();
      if (bytes > room || parts.isEmpty()) {
        parts.add(new ArrayList<>());
        room = SHARD_BYTES;
      }
      parts.getLast().add(tensor);
      room -= bytes;
    }
    List<SyntheticShard> shards = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      String name =
          String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, parts.size());
      shards.add(
          new SyntheticShard(
              folder.resolve(name), ImmutableList.copyOf(parts.get(i)), shape.type()));
    }
    return shards;
  }

  private void write(SyntheticShard shard, SyntheticShard.Piece piece) {
    TensorShape tensor = piece.tensor();
    NormalBits table =
        tables.computeIfAbsent(
            tensor.mean() + " " + tensor.deviation(),
            key -> new NormalBits(shard.type(), tensor.mean(), tensor.deviation()));
    ByteBuffer buffer = ByteBuffer.allocate(Math.toIntExact(piece.bytes()));
    table.fill(MemorySegment.ofBuffer(buffer), piece.seed());
    try (FileChannel channel = FileChannel.open(shard.file(), StandardOpenOption.WRITE)) {
      SyntheticShard.write(channel, buffer, piece.position());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
