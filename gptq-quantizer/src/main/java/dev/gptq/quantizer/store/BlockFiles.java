package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.Crc32c;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;

/**
 * The folder of a finished block, in a form that no output format has a part in: {@code
 * weights.bin} with the parts of all modules, each at a multiple of {@value #ALIGNMENT}, and a
 * {@link Manifest}. A module has the parts
 *
 * <ul>
 *   <li>{@code codes}: the words of its {@link PackedMatrix};
 *   <li>{@code scales}: float32, groups × rows;
 *   <li>{@code zeros}: float32, groups × rows, where zero points vary;
 *   <li>{@code order}: int32, the group of each column, where groups are not contiguous;
 *   <li>{@code bias}: as the model has it, if the module has one.
 * </ul>
 *
 * All numbers are little-endian. A folder appears whole or not at all, also when the power fails,
 * and opening it reads every byte and compares checksums.
 */
final class BlockFiles implements AutoCloseable {
  /** The name of the data file. */
  static final String DATA = "weights.bin";

  /** Bytes at a multiple of which parts begin. */
  static final int ALIGNMENT = 64;

  private static final int PIECE = 1 << 20;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path data;
  private final Manifest manifest;
  private final Arena arena;
  private final MemorySegment mapped;

  private BlockFiles(Path data, Manifest manifest, Arena arena, MemorySegment mapped) {
    this.data = data;
    this.manifest = manifest;
    this.arena = arena;
    this.mapped = mapped;
  }

  /**
   * Opens a folder. Throws {@link DamagedFileException} if a file of it is missing or is not what
   * was written, for this block and this run.
   */
  static BlockFiles open(Path folder, int block, String key) throws IOException {
    Path manifestFile = folder.resolve(Manifest.FILE);
    Path data = folder.resolve(DATA);
    try {
      Manifest manifest = Manifest.decode(manifestFile, Files.readAllBytes(manifestFile));
      if (manifest.block() != block || !manifest.key().equals(key)) {
        throw new DamagedFileException(
            manifestFile, "it is that of block " + manifest.block() + " of run " + manifest.key());
      }
      Arena arena = Arena.ofShared();
      boolean opened = false;
      try (FileChannel file = FileChannel.open(data, StandardOpenOption.READ)) {
        if (file.size() != manifest.bytes()) {
          throw new DamagedFileException(
              data, "it has " + file.size() + " bytes and should have " + manifest.bytes());
        }
        verify(data, file, manifest);
        MemorySegment mapped = file.map(FileChannel.MapMode.READ_ONLY, 0, manifest.bytes(), arena);
        opened = true;
        return new BlockFiles(data, manifest, arena, mapped);
      } finally {
        if (!opened) {
          arena.close();
        }
      }
    } catch (NoSuchFileException e) {
      throw new DamagedFileException(Path.of(e.getFile()), "it is missing");
    }
  }

  /**
   * Reads all modules side by side, through the file and not through a mapping, which a shrinking
   * file takes down.
   */
  private static void verify(Path data, FileChannel file, Manifest manifest) throws IOException {
    List<Manifest.Entry> modules = manifest.modules();
    Optional<IOException> first =
        IntStream.range(0, modules.size())
            .parallel()
            .mapToObj(i -> failure(data, file, modules.get(i)))
            .flatMap(Optional::stream)
            .findFirst();
    if (first.isPresent()) {
      throw first.get();
    }
  }

  private static Optional<IOException> failure(Path data, FileChannel file, Manifest.Entry module) {
    try {
      verify(data, file, module);
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of(e);
    }
  }

  private static void verify(Path data, FileChannel file, Manifest.Entry module)
      throws IOException {
    for (Map.Entry<String, Manifest.Part> named : module.parts().entrySet()) {
      Manifest.Part part = named.getValue();
      long checksum =
          Crc32c.of(
              part.bytes(), (from, to) -> checksum(data, file, part.at() + from, part.at() + to));
      if (checksum != part.checksum()) {
        throw new DamagedFileException(
            data, "the " + named.getKey() + " of " + module.report().name() + " have changed");
      }
    }
  }

  private static long checksum(Path data, FileChannel file, long begin, long end)
      throws IOException {
    CRC32C checksum = new CRC32C();
    ByteBuffer piece = ByteBuffer.allocate((int) Math.min(PIECE, end - begin));
    for (long at = begin; at < end; ) {
      piece.clear().limit((int) Math.min(PIECE, end - at));
      int read = file.read(piece, at);
      if (read < 0) {
        throw new DamagedFileException(data, "it ends at byte " + at);
      }
      checksum.update(piece.array(), 0, read);
      at += read;
    }
    return checksum.getValue();
  }

  /** What the folder says of its modules. */
  Manifest manifest() {
    return manifest;
  }

  /** The modules by full name; their weights are mapped and valid until this is closed. */
  ImmutableMap<String, KeptModule> modules() {
    return manifest.modules().stream()
        .collect(ImmutableMap.toImmutableMap(module -> module.report().name(), this::module));
  }

  private KeptModule module(Manifest.Entry module) {
    ModuleReport report = module.report();
    PackedMatrix packed =
        new PackedMatrix(
            module.scheme(),
            report.bits(),
            report.rows(),
            report.columns(),
            module.groups(),
            part(module, "codes").orElseThrow(),
            part(module, "scales").orElseThrow(),
            part(module, "zeros"),
            part(module, "order").map(BlockFiles::ints));
    Optional<StoredTensor> bias =
        part(module, "bias")
            .map(bytes ->
                new StoredTensor(
                    report.name() + ".bias",
                    module.bias().orElseThrow(),
                    ImmutableList.of((long) report.rows()),
                    data,
                    bytes));
    return new KeptModule(new QuantizedModule(packed, report), bias, data);
  }

  private Optional<MemorySegment> part(Manifest.Entry module, String name) {
    return Optional.ofNullable(module.parts().get(name))
        .map(part -> mapped.asSlice(part.at(), part.bytes()));
  }

  private static int[] ints(MemorySegment bytes) {
    int[] values = new int[Math.toIntExact(bytes.byteSize() / Integer.BYTES)];
    for (int i = 0; i < values.length; i++) {
      values[i] = bytes.getAtIndex(INT, i);
    }
    return values;
  }

  @Override
  public void close() {
    arena.close();
  }
}
