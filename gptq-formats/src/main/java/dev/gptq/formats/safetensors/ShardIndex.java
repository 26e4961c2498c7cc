package dev.gptq.formats.safetensors;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.JacksonIOException;

/**
 * The index of a sharded checkpoint: {@code {"metadata": {…}, "weight_map": {"TENSOR": "FILE",
 * …}}}.
 *
 * @param file the index itself
 * @param weightMap the file of each tensor, relative to the folder of the index
 */
record ShardIndex(Path file, Map<String, String> weightMap) {
  private static final long LARGEST_INDEX = 200_000_000;

  /** Reads an index. */
  static ShardIndex read(Path file) throws IOException {
    if (Files.size(file) > LARGEST_INDEX) {
      throw new BadInputException(
          file + ": an index of " + Files.size(file) + " bytes is absurd; download it again");
    }
    try (InputStream input = Files.newInputStream(file);
        JsonParser parser = Json.MAPPER.createParser(input)) {
      return new ShardIndex(file, weightMap(file, parser));
    } catch (JacksonIOException e) {
      throw e.getCause();
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s: not valid JSON (%s); download the file again"
              .formatted(file, e.getOriginalMessage()),
          e);
    }
  }

  private static Map<String, String> weightMap(Path file, JsonParser parser) {
    Map<String, String> map = null;
    if (parser.nextToken() == JsonToken.START_OBJECT) {
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        boolean wanted = parser.currentName().equals("weight_map");
        JsonToken value = parser.nextToken();
        if (wanted && value == JsonToken.START_OBJECT) {
          map = entries(file, parser);
        } else {
          parser.skipChildren();
        }
      }
    }
    if (map == null || map.isEmpty()) {
      throw new BadInputException(
          file + ": no object 'weight_map' with the file of each tensor; download it again");
    }
    return map;
  }

  private static Map<String, String> entries(Path file, JsonParser parser) {
    Map<String, String> map = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String tensor = parser.currentName();
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw new BadInputException(
            "%s: weight_map names no file for tensor '%s'; download it again"
                .formatted(file, tensor));
      }
      map.put(tensor, parser.getString());
    }
    return map;
  }

  /**
   * The files that the index names, by the names it gives them; each exists in the folder. A name
   * may not lead out of it. A link may: whoever made the folder put it there, as for a single
   * file's.
   */
  Map<String, Path> shards() throws IOException {
    Map<String, Path> shards = new LinkedHashMap<>();
    Set<String> names = new LinkedHashSet<>(weightMap.values());
    for (String name : names) {
      shards.put(name, resolve(name));
    }
    return shards;
  }

  private Path resolve(String name) throws IOException {
    Path folder = file.toAbsolutePath().getParent();
    Path shard;
    try {
      shard = folder.resolve(name).normalize();
    } catch (InvalidPathException e) {
      throw outside(name, e);
    }
    if (!shard.startsWith(folder.normalize()) || Path.of(name).isAbsolute()) {
      throw outside(name, null);
    }
    if (!Files.isRegularFile(shard)) {
      throw new BadInputException(
          "%s: shard %s is missing; download it into the folder".formatted(file, name));
    }
    return file.resolveSibling(name).normalize();
  }

  private BadInputException outside(String name, Throwable cause) {
    return new BadInputException(
        "%s: shard '%s' lies outside the folder of the index; if you trust it, copy the file into"
                .formatted(file, name)
            + " the folder and name it without a path",
        cause);
  }
}
