package dev.gptq.formats.json;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.function.Predicate;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The settings in a JSON file of a checkpoint, such as {@code config.json} or {@code
 * quantize_config.json}, or in a section of one. A key that is absent and one whose value is null
 * are the same. Errors name the file, the key and what was expected.
 */
public class JsonConfig {
  private static final long LARGEST_FILE = 64_000_000;

  /** Python writes infinities without quotes. */
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

  private final Path file;
  private final String path;
  private final ObjectNode root;

  private JsonConfig(Path file, String path, ObjectNode root) {
    this.file = file;
    this.path = path;
    this.root = root;
  }

  /** The same settings, for a class that knows more about their meaning. */
  protected JsonConfig(JsonConfig settings) {
    this(settings.file, settings.path, settings.root);
  }

  /** Reads a JSON file that holds an object. */
  public static JsonConfig read(Path file) throws IOException {
    if (Files.size(file) > LARGEST_FILE) {
      throw new BadInputException(file + " is absurdly large; download it again");
    }
    try {
      if (MAPPER.readTree(Files.readAllBytes(file)) instanceof ObjectNode object) {
        return new JsonConfig(file, "", object);
      }
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s is not valid JSON (%s); download it again".formatted(file, e.getOriginalMessage()),
          e);
    }
    throw new BadInputException(file + " holds no JSON object; download it again");
  }

  /** Settings that were found in a file of another kind. */
  public static JsonConfig of(Path file, ObjectNode settings) {
    return new JsonConfig(file, "", settings);
  }

  /** The file that was read. */
  public Path file() {
    return file;
  }

  /** A copy of the whole document, unknown keys included. */
  public ObjectNode json() {
    return root.deepCopy();
  }

  /** Whether the key is there and its value is not null. */
  public boolean has(String key) {
    return find(key).isPresent();
  }

  /** The value of a key unless it is absent or null. */
  public Optional<JsonNode> find(String key) {
    return Optional.ofNullable(root.get(key)).filter(node -> !node.isNull());
  }

  /** The object under a key as a configuration of its own. */
  public Optional<JsonConfig> section(String key) {
    return value(
        key,
        "an object",
        JsonNode::isObject,
        node -> new JsonConfig(file, path + key + ".", (ObjectNode) node));
  }

  /** The same settings, and others in place of those under the same keys. */
  public JsonConfig with(Map<String, ?> others) {
    ObjectNode changed = root.deepCopy();
    others.forEach((key, value) -> changed.set(key, MAPPER.valueToTree(value)));
    return new JsonConfig(file, path, changed);
  }

  /** The same settings, and others under keys that are not there. */
  public JsonConfig withDefaults(Map<String, ?> defaults) {
    ObjectNode completed = root.deepCopy();
    defaults.forEach((key, value) -> {
      if (!completed.has(key)) {
        completed.set(key, MAPPER.valueToTree(value));
      }
    });
    return new JsonConfig(file, path, completed);
  }

  /** The integer under a key. */
  public int intValue(String key) {
    return optionalInt(key).orElseThrow(() -> missing(key, "an integer"));
  }

  /** The integer under a key, or a fallback where there is none. */
  public int intValue(String key, int fallback) {
    return optionalInt(key).orElse(fallback);
  }

  /** The integer under a key, if there is one. */
  public OptionalInt optionalInt(String key) {
    Optional<Integer> value = value(key, "an integer", JsonConfig::isInt, JsonNode::intValue);
    return value.isPresent() ? OptionalInt.of(value.get()) : OptionalInt.empty();
  }

  /** The integer under a key, which must not be less or more than two bounds. */
  public int intBetween(String key, int least, int most) {
    return optionalIntBetween(key, least, most)
        .orElseThrow(() -> missing(key, "an integer from " + least + " to " + most));
  }

  /** The integer under a key between two bounds, or a fallback where there is none. */
  public int intBetween(String key, int least, int most, int fallback) {
    return optionalIntBetween(key, least, most).orElse(fallback);
  }

  /** The integer under a key, if there is one; it must not be less or more than two bounds. */
  public OptionalInt optionalIntBetween(String key, int least, int most) {
    OptionalInt value = optionalInt(key);
    if (value.isPresent() && (value.getAsInt() < least || value.getAsInt() > most)) {
      throw wrong(key, "an integer from " + least + " to " + most, find(key).orElseThrow());
    }
    return value;
  }

  /** The number under a key between two bounds, or a fallback where there is none. */
  public double doubleBetween(String key, double least, double most, double fallback) {
    OptionalDouble value = optionalDouble(key);
    if (value.isPresent() && !(value.getAsDouble() >= least && value.getAsDouble() <= most)) {
      throw wrong(key, "a number from " + least + " to " + most, find(key).orElseThrow());
    }
    return value.orElse(fallback);
  }

  /** The first of several names of one setting that is there, or the first where none is. */
  public String anyKey(String... keys) {
    for (String key : keys) {
      if (has(key)) {
        return key;
      }
    }
    return keys[0];
  }

  /** The integer under the first of several names of one setting that is there. */
  public int anyInt(String... keys) {
    for (String key : keys) {
      if (has(key)) {
        return intValue(key);
      }
    }
    throw missing(String.join("' or '", keys), "an integer");
  }

  /** The number under a key. */
  public double doubleValue(String key) {
    return optionalDouble(key).orElseThrow(() -> missing(key, "a number"));
  }

  /** The number under a key, or a fallback where there is none. */
  public double doubleValue(String key, double fallback) {
    return optionalDouble(key).orElse(fallback);
  }

  /** The number under a key, if there is one. */
  public OptionalDouble optionalDouble(String key) {
    Optional<Double> value = value(key, "a number", JsonNode::isNumber, JsonNode::doubleValue);
    return value.isPresent() ? OptionalDouble.of(value.get()) : OptionalDouble.empty();
  }

  /** The truth value under a key. */
  public boolean booleanValue(String key) {
    return optionalBoolean(key).orElseThrow(() -> missing(key, "true or false"));
  }

  /** The truth value under a key, or a fallback where there is none. */
  public boolean booleanValue(String key, boolean fallback) {
    return optionalBoolean(key).orElse(fallback);
  }

  /** The truth value under a key, if there is one. */
  public Optional<Boolean> optionalBoolean(String key) {
    return value(key, "true or false", JsonNode::isBoolean, JsonNode::booleanValue);
  }

  /** The text under a key. */
  public String stringValue(String key) {
    return optionalString(key).orElseThrow(() -> missing(key, "a text"));
  }

  /** The text under a key, or a fallback where there is none. */
  public String stringValue(String key, String fallback) {
    return optionalString(key).orElse(fallback);
  }

  /** The text under a key, if there is one. */
  public Optional<String> optionalString(String key) {
    return value(key, "a text", JsonNode::isString, JsonNode::stringValue);
  }

  /** The integers under a key that holds one or a list of them; empty where there is none. */
  public ImmutableList<Integer> intList(String key) {
    return list(key, "an integer or a list of integers", JsonConfig::isInt, JsonNode::intValue);
  }

  /** The numbers under a key that holds one or a list of them; empty where there is none. */
  public ImmutableList<Double> doubleList(String key) {
    return list(key, "a number or a list of numbers", JsonNode::isNumber, JsonNode::doubleValue);
  }

  /** The texts under a key that holds one or a list of them; empty where there is none. */
  public ImmutableList<String> stringList(String key) {
    return list(key, "a text or a list of texts", JsonNode::isString, JsonNode::stringValue);
  }

  private static boolean isInt(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt();
  }

  private <T> Optional<T> value(
      String key, String expected, Predicate<JsonNode> accepts, Function<JsonNode, T> get) {
    Optional<JsonNode> node = find(key);
    if (node.isPresent() && !accepts.test(node.get())) {
      throw wrong(key, expected, node.get());
    }
    return node.map(get);
  }

  private <T> ImmutableList<T> list(
      String key, String expected, Predicate<JsonNode> accepts, Function<JsonNode, T> get) {
    Optional<JsonNode> node = find(key);
    if (node.isEmpty()) {
      return ImmutableList.of();
    }
    if (!node.get().isArray()) {
      return ImmutableList.of(value(key, expected, accepts, get).orElseThrow());
    }
    ImmutableList.Builder<T> values = ImmutableList.builder();
    for (JsonNode element : node.get()) {
      if (!accepts.test(element)) {
        throw wrong(key, expected, element);
      }
      values.add(get.apply(element));
    }
    return values.build();
  }

  private BadInputException wrong(String key, String expected, JsonNode found) {
    String text = found.toString();
    return new BadInputException(
        "%s: '%s' should be %s but is %s"
            .formatted(
                file,
                path + key,
                expected,
                text.length() > 100 ? text.substring(0, 100) + "…" : text));
  }

  private BadInputException missing(String key, String expected) {
    return new BadInputException(
        "%s: '%s' is missing; it should be %s".formatted(file, path + key, expected));
  }
}
