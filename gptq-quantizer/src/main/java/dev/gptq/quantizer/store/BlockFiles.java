package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.DurableFiles;
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
import java.util.Map;
import java.util.Optional;
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

  private static final int ALIGNMENT = 64;
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
   * Writes a folder; what stands in {@code staging} is replaced, and it is renamed to {@code
   * folder} when the disk has everything.
   */
  static void write(
      Path staging,
      Path folder,
      int block,
      String key,
      Map<String, QuantizedModule> modules,
      Map<String, StoredTensor> biases)
      throws IOException {
    Files.createDirectories(staging);
    Files.deleteIfExists(staging.resolve(DATA));
    Files.deleteIfExists(staging.resolve(Manifest.FILE));
    ImmutableList.Builder<Manifest.Entry> entries = ImmutableList.builder();
    long bytes;
    try (FileChannel out =
        FileChannel.open(
            staging.resolve(DATA), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      Writing writing = new Writing(out);
      for (Map.Entry<String, QuantizedModule> module : modules.entrySet()) {
        Optional<StoredTensor> bias = Optional.ofNullable(biases.get(module.getKey()));
        entries.add(writing.add(module.getValue(), bias));
      }
      out.force(true);
      bytes = out.size();
    }
    DurableFiles.write(
        staging.resolve(Manifest.FILE), new Manifest(block, key, bytes, entries.build()).encode());
    DurableFiles.publishFolder(staging, folder);
  }

  /** A data file that grows. */
  private static final class Writing {
    private final FileChannel out;
    private long end;

    Writing(FileChannel out) {
      this.out = out;
    }

    Manifest.Entry add(QuantizedModule module, Optional<StoredTensor> bias) throws IOException {
      PackedMatrix matrix = module.packed();
      ImmutableMap.Builder<String, Manifest.Part> parts = ImmutableMap.builder();
      parts.put("codes", add(matrix.words()));
      parts.put("scales", add(matrix.scales()));
      if (matrix.zeros().isPresent()) {
        parts.put("zeros", add(matrix.zeros().get()));
      }
      if (matrix.groupOf().isPresent()) {
        MemorySegment order = MemorySegment.ofArray(new byte[4 * matrix.columns()]);
        for (int i = 0; i < matrix.columns(); i++) {
          order.setAtIndex(INT, i, matrix.group(i));
        }
        parts.put("order", add(order));
      }
      if (bias.isPresent()) {
        parts.put("bias", add(bias.get().data()));
      }
      return new Manifest.Entry(
          module.report(),
          matrix.scheme(),
          matrix.groups(),
          parts.buildOrThrow(),
          bias.map(StoredTensor::type));
    }

    private Manifest.Part add(MemorySegment bytes) throws IOException {
      long at = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      CRC32C checksum = new CRC32C();
      byte[] piece = new byte[(int) Math.min(PIECE, bytes.byteSize())];
      for (long from = 0; from < bytes.byteSize(); from += piece.length) {
        int length = (int) Math.min(piece.length, bytes.byteSize() - from);
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, from, piece, 0, length);
        checksum.update(piece, 0, length);
        ByteBuffer rest = ByteBuffer.wrap(piece, 0, length);
        while (rest.hasRemaining()) {
          out.write(rest, at + from + rest.position());
        }
      }
      end = at + bytes.byteSize();
      return new Manifest.Part(at, bytes.byteSize(), checksum.getValue());
    }
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
        for (Manifest.Entry module : manifest.modules()) {
          verify(data, file, module);
        }
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

  /** Reads through the file and not through a mapping, which a shrinking file takes down. */
  private static void verify(Path data, FileChannel file, Manifest.Entry module)
      throws IOException {
    ByteBuffer piece = ByteBuffer.allocate(PIECE);
    for (Map.Entry<String, Manifest.Part> named : module.parts().entrySet()) {
      Manifest.Part part = named.getValue();
      CRC32C checksum = new CRC32C();
      long at = part.at();
      long end = part.at() + part.bytes();
      while (at < end) {
        piece.clear().limit((int) Math.min(PIECE, end - at));
        int read = file.read(piece, at);
        if (read < 0) {
          throw new DamagedFileException(data, "it ends at byte " + at);
        }
        checksum.update(piece.array(), 0, read);
        at += read;
      }
      if (checksum.getValue() != part.checksum()) {
        throw new DamagedFileException(
            data, "the " + named.getKey() + " of " + module.report().name() + " have changed");
      }
    }
  }

  /** The reports of the modules, in the order in which they were quantized. */
  ImmutableList<ModuleReport> reports() {
    return manifest.modules().stream()
        .map(Manifest.Entry::report)
        .collect(ImmutableList.toImmutableList());
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
