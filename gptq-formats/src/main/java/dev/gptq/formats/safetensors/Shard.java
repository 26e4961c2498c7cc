package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * One safetensors file, mapped into memory and checked: 8 bytes with the length of the header
 * (little-endian), the header, and the elements of the tensors, each byte of which belongs to
 * exactly one tensor.
 */
final class Shard {
  /** The longest header that the format allows. */
  static final long LONGEST_HEADER = 100_000_000;

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Shard() {}

  /**
   * Where the tensors of a file are.
   *
   * @param data the byte of the file at which the elements begin, and the entries count from 0
   * @param entries in the order of the data
   */
  record Places(long data, ImmutableList<TensorEntry> entries) {}

  /** Where the tensors of a file are. */
  static Places places(Path file) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      return places(file, map(file, arena));
    }
  }

  private static Places places(Path file, MemorySegment mapped) {
    long header = headerLength(file, mapped);
    List<TensorEntry> entries =
        HeaderReader.read(
            file, mapped.asSlice(Long.BYTES, header).asByteBuffer().asReadOnlyBuffer());
    checkRanges(file, entries, mapped.byteSize() - Long.BYTES - header);
    return new Places(Long.BYTES + header, ImmutableList.copyOf(entries));
  }

  /** The tensors of a file, in the order of the data. The mapping lives as long as the arena. */
  static List<StoredTensor> read(Path file, Arena arena) throws IOException {
    MemorySegment mapped = map(file, arena);
    Places places = places(file, mapped);
    MemorySegment data = mapped.asSlice(places.data());
    List<StoredTensor> tensors = new ArrayList<>(places.entries().size());
    for (TensorEntry entry : places.entries()) {
      tensors.add(
          new StoredTensor(
              entry.name(),
              entry.type(),
              entry.shape(),
              file,
              data.asSlice(entry.begin(), entry.byteSize())));
    }
    return tensors;
  }

  private static MemorySegment map(Path file, Arena arena) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(file + " is no file; give a safetensors file");
    }
    return MappedFiles.map(file, arena);
  }

  private static long headerLength(Path file, MemorySegment mapped) {
    if (mapped.byteSize() < Long.BYTES) {
      throw new BadInputException(
          "%s: %d bytes are no safetensors file; the download was cut short, download it again"
              .formatted(file, mapped.byteSize()));
    }
    long header = mapped.get(LENGTH, 0);
    if (header < 0 || header > LONGEST_HEADER) {
      throw new BadInputException(
          "%s: a header of %s bytes is absurd: this is no safetensors file, or a damaged one"
                  .formatted(file, Long.toUnsignedString(header))
              + " (a Git LFS pointer starts with 'version https'); download it again");
    }
    if (header > mapped.byteSize() - Long.BYTES) {
      throw new BadInputException(
          "%s: the header should have %d bytes but the file ends after %d; the download was cut"
                  .formatted(file, header, mapped.byteSize())
              + " short, download it again");
    }
    return header;
  }

  /** Sorts by position and checks that the tensors fill the data without gap and overlap. */
  private static void checkRanges(Path file, List<TensorEntry> entries, long bytes) {
    entries.sort(Comparator.comparingLong(TensorEntry::begin).thenComparingLong(TensorEntry::end));
    long end = 0;
    String before = "the header";
    for (TensorEntry entry : entries) {
      if (entry.end() > bytes) {
        throw new BadInputException(
            "%s: tensor '%s' ends at byte %d of the data but the file holds %d; the download was"
                    .formatted(file, entry.name(), entry.end(), bytes)
                + " cut short, download it again");
      }
      if (entry.begin() != end) {
        throw new BadInputException(
            "%s: tensor '%s' starts at byte %d of the data but %s ends at %d (%s); the file is"
                    .formatted(
                        file,
                        entry.name(),
                        entry.begin(),
                        before,
                        end,
                        entry.begin() < end ? "overlap" : "gap")
                + " damaged, download it again");
      }
      end = entry.end();
      before = "tensor '" + entry.name() + "'";
    }
    if (end != bytes) {
      throw new BadInputException(
          "%s: %d bytes follow the last tensor; the file is damaged, download it again"
              .formatted(file, bytes - end));
    }
  }
}
