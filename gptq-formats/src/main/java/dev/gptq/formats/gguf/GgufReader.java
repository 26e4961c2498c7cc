package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.MappedFiles;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The header of one GGUF file, version 2 or 3 (which differ in nothing but the number), and where
 * its tensors lie: one behind the other, with no more between them than alignment asks for.
 *
 * @param values its entries
 * @param tensors in the order of the data
 * @param header all bytes before the data
 */
record GgufReader(GgufValues values, ImmutableList<GgufStored> tensors, StoredTensor header) {
  /** A header of more bytes than the longest vocabularies have. */
  private static final long LONGEST_HEADER = 200_000_000;

  private static final int MAGIC = 0x46554747;
  private static final int MOST_ENTRIES = 100_000;
  private static final int MOST_TENSORS = 1_000_000;
  private static final int MOST_DIMENSIONS = 4;
  private static final int LARGEST_ALIGNMENT = 1 << 20;
  private static final String ALIGNMENT = "general.alignment";

  /** What a header says of a tensor. */
  private record Entry(String name, GgufType type, ImmutableList<Long> shape, long begin) {
    long end() {
      return begin + type.bytes(shape.stream().reduce(1L, Math::multiplyExact));
    }
  }

  /** Maps a file as long as the arena lives and reads its header. */
  static GgufReader read(Path file, Arena arena) throws IOException {
    MemorySegment mapped = MappedFiles.map(file, arena);
    GgufCursor cursor =
        new GgufCursor(file, mapped.asSlice(0, Math.min(mapped.byteSize(), LONGEST_HEADER)), 0);
    if (cursor.u32("the header") != MAGIC) {
      throw cursor.damaged("it does not begin with GGUF");
    }
    requireVersion(file, cursor.u32("the header"));
    int tensors = cursor.count(MOST_TENSORS, 24, "the list of tensors");
    int entries = cursor.count(MOST_ENTRIES, 13, "the list of entries");
    Map<String, Object> values = new LinkedHashMap<>();
    for (int i = 0; i < entries; i++) {
      String key = cursor.text("the list of entries");
      String what = "'" + shorten(key) + "'";
      if (values.putIfAbsent(key, cursor.value(cursor.u32(what), what)) != null) {
        throw cursor.damaged(what + " is there twice");
      }
    }
    GgufValues read = new GgufValues(file, ImmutableMap.copyOf(values));
    int alignment = read.integer(ALIGNMENT).orElse(32);
    if (Integer.bitCount(alignment) != 1 || alignment > LARGEST_ALIGNMENT) {
      throw cursor.damaged("'" + ALIGNMENT + "' is " + alignment + " and no power of two");
    }
    List<Entry> found = new ArrayList<>();
    for (int i = 0; i < tensors; i++) {
      found.add(entry(cursor));
    }
    long data = Math.ceilDiv(cursor.at(), (long) alignment) * alignment;
    checkRanges(cursor, found, alignment, mapped.byteSize() - data);
    return new GgufReader(
        read,
        found.stream()
            .map(e -> stored(e, file, mapped.asSlice(data + e.begin(), e.end() - e.begin())))
            .collect(ImmutableList.toImmutableList()),
        new StoredTensor(
            "header of " + file.getFileName(),
            StoredType.U8,
            ImmutableList.of(cursor.at()),
            file,
            mapped.asSlice(0, cursor.at())));
  }

  private static GgufStored stored(Entry entry, Path file, MemorySegment data) {
    return new GgufStored(entry.name(), entry.type(), entry.shape(), file, () -> data);
  }

  private static void requireVersion(Path file, int version) {
    if (version == 2 || version == 3) {
      return;
    }
    if (Integer.reverseBytes(version) == 2 || Integer.reverseBytes(version) == 3) {
      throw new BadInputException(
          file + " is a GGUF file of big-endian numbers, which cannot be read; convert it again");
    }
    throw new BadInputException(
        "%s is a GGUF file of version %s; 2 and 3 can be read: convert it again"
            .formatted(file, Integer.toUnsignedString(version)));
  }

  private static Entry entry(GgufCursor cursor) {
    String name = cursor.text("the list of tensors");
    String what = "tensor '" + shorten(name) + "'";
    int dimensions = cursor.u32(what);
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw cursor.damaged(
          "%s has %s dimensions".formatted(what, Integer.toUnsignedString(dimensions)));
    }
    List<Long> sizes = new ArrayList<>();
    long elements = 1;
    for (int i = 0; i < dimensions; i++) {
      long size = cursor.u64(what);
      if (size < 1 || size > Integer.MAX_VALUE || elements > Long.MAX_VALUE / 8 / size) {
        throw cursor.damaged(
            "%s has a dimension of %s".formatted(what, Long.toUnsignedString(size)));
      }
      elements *= size;
      sizes.addFirst(size);
    }
    int number = cursor.u32(what);
    GgufType type =
        GgufType.find(number)
            .orElseThrow(() ->
                cursor.refused(
                    "%s is of type number %s, which cannot be read; these can: %s"
                        .formatted(what, Integer.toUnsignedString(number), types())));
    if (sizes.getLast() % type.block() != 0) {
      throw cursor.damaged(
          "%s has rows of %d, which are no whole blocks of %s"
              .formatted(what, sizes.getLast(), type));
    }
    long begin = cursor.u64(what);
    if (begin < 0) {
      throw cursor.damaged(
          "%s begins at byte %s of the data".formatted(what, Long.toUnsignedString(begin)));
    }
    return new Entry(name, type, ImmutableList.copyOf(sizes), begin);
  }

  private static String types() {
    return Stream.of(GgufType.values()).map(Enum::name).collect(Collectors.joining(", "));
  }

  /** Sorts by position and checks that only alignment lies between tensors. */
  private static void checkRanges(
      GgufCursor cursor, List<Entry> entries, int alignment, long bytes) {
    entries.sort(Comparator.comparingLong(Entry::begin));
    long end = 0;
    String before = "the header";
    for (Entry entry : entries) {
      String what = "tensor '" + shorten(entry.name()) + "'";
      long expected = Math.ceilDiv(end, (long) alignment) * alignment;
      if (entry.begin() != expected) {
        throw cursor.damaged(
            "%s starts at byte %d of the data but %s ends at %d (%s)"
                .formatted(
                    what, entry.begin(), before, end, entry.begin() < end ? "overlap" : "gap"));
      }
      if (entry.end() > bytes) {
        throw cursor.refused(
            "%s ends at byte %d of the data but the file holds %d; the download was cut short,"
                    .formatted(what, entry.end(), Math.max(0, bytes))
                + " download it again");
      }
      end = entry.end();
      before = what;
    }
    if (bytes - end >= alignment) {
      throw cursor.damaged((bytes - end) + " bytes follow the last tensor");
    }
  }

  private static String shorten(String text) {
    return text.length() <= 200 ? text : text.substring(0, 200) + "…";
  }
}
