package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.databind.json.JsonMapper;

/**
 * The ids that a {@code tokenizer.json} knows, added tokens included.
 *
 * @param file the {@code tokenizer.json}, or what stands for it
 * @param mostId the largest id; −1 if there is none
 * @param mostToken the token of that id
 */
public record Vocabulary(Path file, int mostId, String mostToken) {
  /** The name of the file in a checkpoint folder. */
  public static final String FILE = "tokenizer.json";

  /**
   * Reads it. Throws {@link BadInputException} if it is no JSON or an id no natural number, which
   * must be found before the native library sees the file: in some damaged ones it ends the
   * process.
   */
  public static Vocabulary read(TokenizerSource source) throws IOException {
    Path file = source.file();
    try (InputStream input = source.open();
        JsonParser parser = JsonMapper.shared().createParser(input)) {
      Reader reader = new Reader(file, parser);
      reader.document();
      return new Vocabulary(file, reader.largest, reader.last);
    } catch (JacksonIOException e) {
      throw e.getCause();
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s is not valid (%s); download it again".formatted(file, e.getOriginalMessage()), e);
    }
  }

  /** One more than the largest id. */
  public int size() {
    return mostId + 1;
  }

  /** What to say of a token whose id has no row in an embedding of {@code rows}. */
  BadInputException beyond(int id, String token, int rows) {
    return new BadInputException(
        "%s: token '%s' has id %d, but the model's embedding has %d rows and the tokenizer %d ids;"
                .formatted(file, token, id, rows, size())
            + " take the tokenizer that belongs to the model, or resize its embedding");
  }

  /** What is odd about it for an embedding of {@code rows}. */
  public Optional<String> oddity(int rows) {
    return size() > rows
        ? Optional.of(beyond(mostId, mostToken, rows).getMessage())
        : Optional.empty();
  }

  private static final class Reader {
    private final Path file;
    private final JsonParser parser;
    private int largest = -1;
    private String last = "";

    Reader(Path file, JsonParser parser) {
      this.file = file;
      this.parser = parser;
    }

    void document() {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new BadInputException(file + " holds no JSON object; download it again");
      }
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = parser.currentName();
        JsonToken value = parser.nextToken();
        if (key.equals("model") && value == JsonToken.START_OBJECT) {
          model();
        } else if (key.equals("added_tokens") && value == JsonToken.START_ARRAY) {
          added();
        } else if (key.equals("decoder")) {
          NativePitfalls.checkDecoder(file, parser.readValueAsTree());
        } else if (key.equals("normalizer")) {
          NativePitfalls.checkNormalizer(file, parser.readValueAsTree());
        } else if (key.equals("post_processor")) {
          NativePitfalls.checkPostProcessor(file, parser.readValueAsTree());
        } else {
          parser.skipChildren();
        }
      }
      if (parser.nextToken() != null) {
        throw new BadInputException(
            file + ": something follows the closing brace; download it again");
      }
    }

    private void model() {
      String prefix = "";
      boolean merged = false;
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = parser.currentName();
        boolean vocabulary = key.equals("vocab");
        JsonToken value = parser.nextToken();
        if (key.equals("continuing_subword_prefix") && value == JsonToken.VALUE_STRING) {
          NativePitfalls.checkOrder(file, merged);
          prefix = parser.getString();
        } else if (key.equals("merges") && value == JsonToken.START_ARRAY) {
          merged = true;
          merges(prefix);
        } else if (vocabulary && value == JsonToken.START_OBJECT) {
          while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String token = parser.currentName();
            parser.nextToken();
            know(token, id(token));
          }
        } else if (vocabulary && value == JsonToken.START_ARRAY) {
          pieces();
        } else {
          parser.skipChildren();
        }
      }
    }

    private void merges(String prefix) {
      if (prefix.isEmpty()) {
        parser.skipChildren();
        return;
      }
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        NativePitfalls.checkMerge(file, parser.readValueAsTree(), prefix);
      }
    }

    /** Pieces with their scores, whose ids are their places. */
    private void pieces() {
      int id = 0;
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        String token = "";
        if (parser.currentToken() == JsonToken.START_ARRAY
            && parser.nextToken() == JsonToken.VALUE_STRING) {
          token = parser.getString();
          while (parser.nextToken() != JsonToken.END_ARRAY) {
            parser.skipChildren();
          }
        } else {
          throw new BadInputException(
              "%s: piece %d of the vocabulary is no pair of a text and a score; download it again"
                  .formatted(file, id));
        }
        know(token, id++);
      }
    }

    private void added() {
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        int id = -1;
        String token = "";
        if (parser.currentToken() != JsonToken.START_OBJECT) {
          throw new BadInputException(
              file + ": an entry of added_tokens is no object; download it again");
        }
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
          String key = parser.currentName();
          JsonToken value = parser.nextToken();
          if (key.equals("id")) {
            id = id(token);
          } else if (key.equals("content") && value == JsonToken.VALUE_STRING) {
            token = parser.getString();
          } else {
            parser.skipChildren();
          }
        }
        know(token, id);
      }
    }

    private int id(String token) {
      if (parser.currentToken() == JsonToken.VALUE_NUMBER_INT
          && parser.getNumberType() == JsonParser.NumberType.INT
          && parser.getIntValue() >= 0
          && parser.getIntValue() < Integer.MAX_VALUE) {
        return parser.getIntValue();
      }
      throw new BadInputException(
          "%s: the id of token '%s' is no natural number; download it again"
              .formatted(file, token));
    }

    private void know(String token, int id) {
      if (id > largest) {
        largest = id;
        last = token;
      }
    }
  }
}
