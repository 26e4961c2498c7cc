package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.databind.util.ByteBufferBackedInputStream;

/**
 * Reads the JSON header of a safetensors file token by token, so that a hostile one costs no more
 * memory than the tensors it names: {@code {"NAME": {"dtype": "F16", "shape": [2, 3],
 * "data_offsets": [0, 12]}, …, "__metadata__": {"KEY": "TEXT", …}}}.
 */
final class HeaderReader {
  private static final String METADATA = "__metadata__";
  private static final int MOST_DIMENSIONS = 16;
  private static final int MOST_TENSORS = 1_000_000;

  private final Path file;
  private final JsonParser parser;
  private final List<TensorEntry> entries = new ArrayList<>();

  private HeaderReader(Path file, JsonParser parser) {
    this.file = file;
    this.parser = parser;
  }

  /** The tensors in the order of the header. Throws {@link BadInputException} if it is damaged. */
  static List<TensorEntry> read(Path file, ByteBuffer header) {
    if (!header.hasRemaining() || header.get(header.position()) != '{') {
      throw new BadInputException(
          file
              + ": the header does not start with '{': this is no safetensors file, or a damaged"
              + " one; download it again");
    }
    try (JsonParser parser = Json.MAPPER.createParser(new ByteBufferBackedInputStream(header))) {
      return new HeaderReader(file, parser).document();
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s: the header is not valid JSON (%s); download the file again"
              .formatted(file, e.getOriginalMessage()),
          e);
    }
  }

  private List<TensorEntry> document() {
    parser.nextToken();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String name = parser.currentName();
      if (name.equals(METADATA)) {
        metadata();
      } else {
        entries.add(tensor(name));
        if (entries.size() > MOST_TENSORS) {
          throw damaged("it claims more than " + MOST_TENSORS + " tensors");
        }
      }
    }
    if (parser.nextToken() != null) {
      throw damaged("something follows the closing brace");
    }
    return entries;
  }

  private void metadata() {
    expect(parser.nextToken(), JsonToken.START_OBJECT, METADATA, "an object of strings");
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      expect(parser.nextToken(), JsonToken.VALUE_STRING, METADATA, "an object of strings");
    }
  }

  private TensorEntry tensor(String name) {
    expect(parser.nextToken(), JsonToken.START_OBJECT, name, "an object");
    StoredType type = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      switch (key) {
        case "dtype" -> type = type(name);
        case "shape" -> shape = integers(name, key);
        case "data_offsets" -> offsets = integers(name, key);
        default -> throw damaged(tensorText(name) + " has an unknown key '" + shorten(key) + "'");
      }
    }
    if (type == null || shape == null || offsets == null) {
      throw damaged(tensorText(name) + " lacks dtype, shape or data_offsets");
    }
    return entry(name, type, shape, offsets);
  }

  private StoredType type(String name) {
    expect(parser.nextToken(), JsonToken.VALUE_STRING, name, "a dtype in quotes");
    String text = parser.getString();
    return StoredType.find(text)
        .orElseThrow(() ->
            new BadInputException(
                "%s: %s has dtype '%s', which is not supported (supported: %s); convert it first"
                    .formatted(
                        file,
                        tensorText(name),
                        shorten(text),
                        Arrays.toString(StoredType.values()))));
  }

  private long[] integers(String name, String key) {
    expect(parser.nextToken(), JsonToken.START_ARRAY, name, "a list as " + key);
    long[] values = new long[MOST_DIMENSIONS];
    int count = 0;
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT, name, "integers in " + key);
      if (count == MOST_DIMENSIONS) {
        throw damaged(tensorText(name) + ": too many numbers in " + key);
      }
      values[count++] = natural(name, key);
    }
    return Arrays.copyOf(values, count);
  }

  private long natural(String name, String key) {
    if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      throw damaged(tensorText(name) + ": absurd number in " + key);
    }
    long value = parser.getLongValue();
    if (value < 0) {
      throw damaged(tensorText(name) + ": negative number " + value + " in " + key);
    }
    return value;
  }

  private TensorEntry entry(String name, StoredType type, long[] shape, long[] offsets) {
    if (offsets.length != 2 || offsets[0] > offsets[1]) {
      throw damaged(
          tensorText(name) + ": data_offsets " + Arrays.toString(offsets) + " are no range");
    }
    ImmutableList<Long> sizes =
        Arrays.stream(shape).boxed().collect(ImmutableList.toImmutableList());
    long bytes = type.bytes();
    try {
      for (long size : shape) {
        bytes = Math.multiplyExact(bytes, size);
      }
    } catch (ArithmeticException e) {
      throw new BadInputException(
          "%s: %s: absurd shape %s; download the file again"
              .formatted(file, tensorText(name), sizes),
          e);
    }
    if (bytes != offsets[1] - offsets[0]) {
      throw damaged(
          "%s: shape %s of %s needs %d bytes but the file gives it %d"
              .formatted(tensorText(name), sizes, type, bytes, offsets[1] - offsets[0]));
    }
    return new TensorEntry(name, type, sizes, offsets[0], offsets[1]);
  }

  private void expect(JsonToken found, JsonToken wanted, String name, String what) {
    if (found != wanted) {
      throw damaged(tensorText(name) + ": the header should hold " + what);
    }
  }

  private BadInputException damaged(String what) {
    return new BadInputException(file + ": " + what + "; the file is damaged, download it again");
  }

  private static String tensorText(String name) {
    return "tensor '" + shorten(name) + "'";
  }

  private static String shorten(String text) {
    return text.length() <= 200 ? text : text.substring(0, 200) + "…";
  }
}
