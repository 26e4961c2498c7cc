package dev.gptq.formats.gguf;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A place in the header of a file, which goes on with what is read and never beyond the end. */
final class GgufCursor {
  /** Longer texts than any template or licence. */
  private static final long LONGEST_TEXT = 1L << 24;

  private static final int ARRAY_COUNT = 1 << 24;

  private final Path file;
  private final MemorySegment header;
  private long at;

  GgufCursor(Path file, MemorySegment header, long at) {
    this.file = file;
    this.header = header;
    this.at = at;
  }

  GgufCursor copy() {
    return new GgufCursor(file, header, at);
  }

  long at() {
    return at;
  }

  int u32(String what) {
    return header.get(Elements.INT, take(4, what));
  }

  long u64(String what) {
    return header.get(Elements.LONG, take(8, what));
  }

  /** A number of things of which each takes some bytes at least. */
  int count(int most, int bytes, String what) {
    long count = u64(what);
    if (count < 0 || count > most || count > (header.byteSize() - at) / bytes) {
      throw damaged("%s claims to be %s long".formatted(what, Long.toUnsignedString(count)));
    }
    return (int) count;
  }

  String text(String what) {
    long length = u64(what);
    if (length < 0 || length > LONGEST_TEXT || length > header.byteSize() - at) {
      throw damaged("%s has a text of %s bytes".formatted(what, Long.toUnsignedString(length)));
    }
    byte[] utf8 = new byte[(int) length];
    MemorySegment.copy(header, ValueLayout.JAVA_BYTE, at, utf8, 0, utf8.length);
    at += length;
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
    } catch (CharacterCodingException e) {
      throw new BadInputException(message(what + " has a text that is no UTF-8"), e);
    }
  }

  /** A value: a number (whole ones as {@link Long}), a truth value, a text, or a list. */
  Object value(int type, String what) {
    if (type != GgufMetadata.ARRAY) {
      return scalar(type, what);
    }
    int elements = u32(what);
    if (elements == GgufMetadata.ARRAY) {
      throw damaged(what + " is a list of lists");
    }
    int count = count(ARRAY_COUNT, size(elements, what), what);
    GgufCursor begin = copy();
    if (elements == GgufMetadata.STRING) {
      for (int i = 0; i < count; i++) {
        skipText(what);
      }
    } else {
      take((long) count * size(elements, what), what);
    }
    return new GgufArray(elements, count, begin);
  }

  Object scalar(int type, String what) {
    if (type == GgufMetadata.STRING) {
      return text(what);
    }
    long from = take(size(type, what), what);
    return switch (type) {
      case 0 -> (long) (header.get(ValueLayout.JAVA_BYTE, from) & 0xff);
      case 1 -> (long) header.get(ValueLayout.JAVA_BYTE, from);
      case 2 -> (long) (header.get(Elements.HALF, from) & 0xffff);
      case 3 -> (long) header.get(Elements.HALF, from);
      case GgufMetadata.U32 -> Integer.toUnsignedLong(header.get(Elements.INT, from));
      case GgufMetadata.I32 -> (long) header.get(Elements.INT, from);
      case GgufMetadata.F32 -> (double) header.get(Elements.FLOAT, from);
      case GgufMetadata.BOOL -> header.get(ValueLayout.JAVA_BYTE, from) != 0;
      case 10, 11 -> header.get(Elements.LONG, from);
      default -> Double.longBitsToDouble(header.get(Elements.LONG, from));
    };
  }

  /** Bytes of a number, or the fewest of a text. */
  private int size(int type, String what) {
    return switch (type) {
      case 0, 1, GgufMetadata.BOOL -> 1;
      case 2, 3 -> 2;
      case GgufMetadata.U32, GgufMetadata.I32, GgufMetadata.F32 -> 4;
      case GgufMetadata.STRING, 10, 11, 12 -> 8;
      default -> throw damaged("%s has the unknown type %d".formatted(what, type));
    };
  }

  private void skipText(String what) {
    long length = u64(what);
    if (length < 0 || length > LONGEST_TEXT) {
      throw damaged("%s has a text of %s bytes".formatted(what, Long.toUnsignedString(length)));
    }
    take(length, what);
  }

  private long take(long bytes, String what) {
    if (bytes > header.byteSize() - at) {
      throw new BadInputException(
          "%s: the file ends within %s; the download was cut short, download it again"
              .formatted(file, what));
    }
    long from = at;
    at += bytes;
    return from;
  }

  BadInputException refused(String what) {
    return new BadInputException(file + ": " + what);
  }

  BadInputException damaged(String what) {
    return new BadInputException(message(what));
  }

  private String message(String what) {
    return "%s: %s; the file is damaged, download it again".formatted(file, what);
  }
}
