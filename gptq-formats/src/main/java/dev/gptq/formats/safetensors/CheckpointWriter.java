package dev.gptq.formats.safetensors;

import com.google.common.base.Preconditions;
import com.google.common.base.Throwables;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.DurableFiles;
import dev.gptq.formats.FileFailure;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ForkJoinPool;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a checkpoint folder: {@code model.safetensors}, or {@code
 * model-00001-of-0000N.safetensors} with an index, and side files. Tensors go to disk as they come.
 * All is written into a hidden folder beside the final one; {@link #commit} reads it back, compares
 * checksums, and renames it. Closing without commit leaves nothing.
 */
public final class CheckpointWriter implements AutoCloseable {
  private static final int BUFFER = 4 << 20;

  /**
   * Threads that read back: as many as keep a disk busy. They wait for it most of the time, which
   * threads that others share work with should not.
   */
  private static final ForkJoinPool READERS = new ForkJoinPool(8);

  private final StagingFolder staging;
  private final WriterOptions options;
  private final ShardWriter.Opener opener;
  private final List<FinishedShard> finished = new ArrayList<>();
  private final Map<String, Long> checksums = new LinkedHashMap<>();

  /** Where tensors go that were announced. */
  private final Map<String, ShardCopy> announced = new LinkedHashMap<>();

  /** What is being read back: each says why it came from the cache, if it did. */
  private final List<CompletableFuture<Optional<String>>> readings = new ArrayList<>();

  /** Why some of what was read back came from the cache. */
  private Optional<String> cached = Optional.empty();

  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER);
  private ShardWriter growing;
  private boolean committed;
  private boolean other;

  /** A file to which no further tensors are added. */
  private record FinishedShard(Path file, long bytes, ImmutableList<String> tensors) {}

  private CheckpointWriter(
      StagingFolder staging, WriterOptions options, ShardWriter.Opener opener) {
    this.staging = staging;
    this.options = options;
    this.opener = opener;
  }

  /**
   * Throws what {@link #create} would, so that it is known before the work, and leaves no file
   * behind.
   */
  public static void check(Path folder, WriterOptions options) throws IOException {
    StagingFolder.create(folder, options).close();
  }

  /** Where a checkpoint grows, and where a writer that was killed has left it. */
  public static Path unfinished(Path folder) {
    return StagingFolder.unfinished(folder.toAbsolutePath().normalize());
  }

  /**
   * Begins a checkpoint. Throws {@link dev.gptq.formats.OutputPlaceException} if the folder is one
   * that is read, and {@link dev.gptq.formats.BadInputException} if it exists, is not empty and
   * must not be overwritten or holds what this program has not written, or if another process
   * writes to it.
   */
  public static CheckpointWriter create(Path folder, WriterOptions options) throws IOException {
    return create(
        folder,
        options,
        file ->
            FileChannel.open(
                file,
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE));
  }

  static CheckpointWriter create(Path folder, WriterOptions options, ShardWriter.Opener opener)
      throws IOException {
    return new CheckpointWriter(StagingFolder.create(folder, options), options, opener);
  }

  /** Adds a tensor. The segment holds the elements, little-endian, and may be reused afterwards. */
  public void add(String name, StoredType type, long[] shape, MemorySegment data)
      throws IOException {
    Preconditions.checkState(!committed, "the checkpoint is committed");
    requireNew(name);
    long bytes = Arrays.stream(shape).reduce(type.bytes(), Math::multiplyExact);
    Preconditions.checkArgument(
        bytes == data.byteSize(),
        "tensor '%s' of shape %s has %s bytes, not %s",
        name,
        Arrays.toString(shape),
        bytes,
        data.byteSize());
    try {
      checksums.put(name, shardFor(bytes).add(name, type, shape, data));
    } catch (IOException e) {
      throw explained("tensor '" + name + "'", e);
    }
  }

  /** Adds a tensor of another checkpoint as it is. */
  public void add(StoredTensor tensor) throws IOException {
    try {
      add(
          tensor.name(),
          tensor.type(),
          tensor.shape().stream().mapToLong(Long::longValue).toArray(),
          tensor.data());
    } catch (InternalError e) {
      throw MappedFiles.fault(e).orElseThrow(() -> e);
    }
  }

  /**
   * Adds tensors of other checkpoints as they are, in files of their own. This is faster than one
   * by one: all processors copy, and each tensor is written once.
   */
  public void addAll(Iterable<StoredTensor> tensors) throws IOException {
    inShards(
        tensors,
        shard -> {
          announceShard(shard);
          fill(shard);
        });
  }

  /**
   * Makes room for tensors that come later, by {@link #fill}: they get the files and the places
   * that {@link #addAll} would give them. No element of them is asked for.
   */
  public void announce(Iterable<StoredTensor> tensors) throws IOException {
    inShards(tensors, this::announceShard);
  }

  /** Whether a tensor was announced with this type and shape and has not come. */
  public boolean awaits(StoredTensor tensor) {
    ShardCopy shard = announced.get(tensor.name());
    return shard != null && shard.awaits(tensor);
  }

  /** Writes tensors that were announced, waits until the disk has them, and reads them back. */
  public void fill(List<StoredTensor> tensors) throws IOException {
    write(tensors);
    endReadings(true);
  }

  /**
   * The same without a wait for what is read back, which goes on beside what is written next, also
   * of these tensors: the next call or {@link #commit} throws if the disk returns other bytes.
   */
  public void write(List<StoredTensor> tensors) throws IOException {
    Preconditions.checkState(!committed, "the checkpoint is committed");
    endReadings(false);
    Map<ShardCopy, List<StoredTensor>> byShard = new LinkedHashMap<>();
    for (StoredTensor tensor : tensors) {
      Preconditions.checkArgument(awaits(tensor), "%s was not announced", tensor);
      byShard.computeIfAbsent(announced.get(tensor.name()), _ -> new ArrayList<>()).add(tensor);
    }
    for (Map.Entry<ShardCopy, List<StoredTensor>> some : byShard.entrySet()) {
      ShardCopy shard = some.getKey();
      try {
        shard.fill(Portion.of(some.getValue()), READERS, written -> readBack(shard, written));
      } catch (IOException e) {
        throw explained("tensor '" + some.getValue().getFirst().name() + "' and others", e);
      }
      some.getValue().forEach(StoredTensor::letGo);
      if (shard.isWhole()) {
        shard.close();
      }
    }
  }

  /** Begins to read back what is on the disk. */
  private void readBack(ShardCopy shard, List<ReadBack.Written> written) {
    if (!written.isEmpty()) {
      readings.add(
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  return shard.verify(written);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              },
              READERS));
    }
  }

  /** Looks at what was read back, and waits for what is still being read if that is asked for. */
  private void endReadings(boolean all) throws IOException {
    Iterator<CompletableFuture<Optional<String>>> left = readings.iterator();
    while (left.hasNext()) {
      CompletableFuture<Optional<String>> reading = left.next();
      if (all || reading.isDone()) {
        Optional<String> why = result(reading);
        cached = cached.or(() -> why);
        left.remove();
      }
    }
  }

  /** Waits until something was read back. */
  private static Optional<String> result(CompletableFuture<Optional<String>> reading)
      throws IOException {
    try {
      return reading.join();
    } catch (CompletionException e) {
      Throwables.throwIfInstanceOf(Throwables.getRootCause(e), IOException.class);
      throw e;
    }
  }

  /** Work on the tensors of a file. */
  @FunctionalInterface
  private interface ShardWork {
    void on(List<StoredTensor> tensors) throws IOException;
  }

  /** Does something with as many tensors at a time as go into a file. */
  private void inShards(Iterable<StoredTensor> tensors, ShardWork work) throws IOException {
    Preconditions.checkState(!committed, "the checkpoint is committed");
    try {
      finishGrowing();
    } catch (IOException e) {
      throw explained("shard " + (finished.size() + 1), e);
    }
    List<StoredTensor> shard = new ArrayList<>();
    long bytes = 0;
    for (StoredTensor tensor : tensors) {
      if (!shard.isEmpty() && bytes + tensor.byteSize() > options.shardLimit()) {
        work.on(shard);
        shard.clear();
        bytes = 0;
      }
      shard.add(tensor);
      bytes += tensor.byteSize();
    }
    if (!shard.isEmpty()) {
      work.on(shard);
    }
  }

  private void announceShard(List<StoredTensor> tensors) throws IOException {
    tensors.forEach(tensor -> requireNew(tensor.name()));
    try {
      Path file = nextPart();
      ShardCopy shard = ShardCopy.begin(file, opener, tensors, options.metadata());
      tensors.forEach(tensor -> announced.put(tensor.name(), shard));
      finished.add(
          new FinishedShard(
              file,
              tensors.stream().mapToLong(StoredTensor::byteSize).sum(),
              tensors.stream().map(StoredTensor::name).collect(ImmutableList.toImmutableList())));
    } catch (IOException e) {
      throw explained("shard " + (finished.size() + 1), e);
    }
  }

  private void requireNew(String name) {
    Preconditions.checkArgument(
        !checksums.containsKey(name) && !announced.containsKey(name),
        "tensor '%s' was added before",
        name);
  }

  private ShardWriter shardFor(long bytes) throws IOException {
    if (growing != null && growing.bytes() + bytes > options.shardLimit()) {
      finishGrowing();
    }
    if (growing == null) {
      growing = new ShardWriter(nextPart(), opener, buffer);
    }
    return growing;
  }

  private Path nextPart() {
    return staging.path().resolve("part-" + (finished.size() + 1));
  }

  private void finishGrowing() throws IOException {
    if (growing != null) {
      growing.finish(options.metadata());
      finished.add(new FinishedShard(growing.file(), growing.bytes(), growing.names()));
      growing = null;
    }
  }

  /** Copies a side file, such as a tokenizer, under its own name. */
  public void copyFile(Path source) throws IOException {
    copyFile(source.getFileName().toString(), source);
  }

  /** Copies a side file under a name, which may be {@code FOLDER/NAME}. */
  public void copyFile(String name, Path source) throws IOException {
    try (InputStream input = Files.newInputStream(source)) {
      // Its content only: permissions are those of the other files here.
      DurableFiles.write(place(name), input);
    } catch (IOException e) {
      throw explained("file " + source, e);
    }
  }

  /** Writes a side file. */
  public void writeFile(String name, byte[] content) throws IOException {
    try {
      DurableFiles.write(place(name), content);
    } catch (IOException e) {
      throw explained("file " + name, e);
    }
  }

  /** Where a file of another format is to be written that holds the weights in place of tensors. */
  public Path weightFile(String name) throws IOException {
    Preconditions.checkState(
        checksums.isEmpty() && announced.isEmpty(), "there are tensors already");
    other = true;
    return place(name);
  }

  private Path place(String name) throws IOException {
    Path path = staging.path().getFileSystem().getPath(name);
    Preconditions.checkArgument(
        path.getNameCount() <= 2
            && !path.isAbsolute()
            && !path.startsWith("..")
            && path.equals(path.normalize()),
        "'%s' is no plain file name",
        name);
    Path place = staging.path().resolve(path);
    Files.createDirectories(place.getParent());
    Files.deleteIfExists(place);
    return place;
  }

  /**
   * Finishes the files, reads back every tensor that was not read back before, compares it with
   * what was added, and gives the folder its final name. Throws {@link IOException} if the disk
   * returns other bytes.
   *
   * @return why they may have been read from the system's cache and not from the disk; empty if
   *     they came from the disk
   */
  public Optional<String> commit() throws IOException {
    Preconditions.checkState(!committed, "the checkpoint is committed");
    if (other) {
      staging.commit();
      committed = true;
      return Optional.of(
          "a file of another format than safetensors is read back as any program reads it");
    }
    Preconditions.checkState(
        !checksums.isEmpty() || !announced.isEmpty(), "a checkpoint needs a tensor");
    Preconditions.checkState(
        announced.values().stream().allMatch(ShardCopy::isWhole), "announced tensors did not come");
    endReadings(true);
    try {
      finishGrowing();
      nameShards();
    } catch (IOException e) {
      throw explained("the last shard", e);
    }
    Optional<String> why = ReadBack.verify(staging.path(), checksums);
    staging.commit();
    committed = true;
    return cached.or(() -> why);
  }

  private void nameShards() throws IOException {
    if (finished.size() == 1) {
      Files.move(finished.getFirst().file(), staging.path().resolve(Checkpoint.SINGLE_FILE));
      return;
    }
    ObjectNode index = Json.MAPPER.createObjectNode();
    index
        .putObject("metadata")
        .put("total_size", finished.stream().mapToLong(FinishedShard::bytes).sum());
    ObjectNode weightMap = index.putObject("weight_map");
    for (int i = 0; i < finished.size(); i++) {
      String name =
          String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, finished.size());
      Files.move(finished.get(i).file(), staging.path().resolve(name));
      finished.get(i).tensors().forEach(tensor -> weightMap.put(tensor, name));
    }
    DurableFiles.write(
        staging.path().resolve(Checkpoint.INDEX_FILE),
        Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(index));
  }

  private IOException explained(String what, IOException e) {
    if (e instanceof UnreadableFileException) {
      return e;
    }
    return new IOException(
        "writing %s to %s failed: %s; nothing of it is kept, free some space or give a folder on another disk"
            .formatted(what, staging.path(), FileFailure.reason(e)),
        e);
  }

  /** Deletes what was not committed. */
  @Override
  public void close() throws IOException {
    try (staging) {
      // Files that are being read cannot be deleted everywhere.
      for (CompletableFuture<Optional<String>> reading : readings) {
        reading.exceptionally(failure -> Optional.empty()).join();
      }
      for (ShardCopy shard : ImmutableSet.copyOf(announced.values())) {
        shard.close();
      }
      if (growing != null) {
        growing.close();
      }
    }
  }
}
