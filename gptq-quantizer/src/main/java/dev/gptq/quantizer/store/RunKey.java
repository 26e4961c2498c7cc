package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.backend.Backend;
import dev.gptq.formats.DurableFiles;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Everything that decides the result of a quantization, by name. Finished blocks belong to one key;
 * a run whose key differs in anything starts again, and can say in what.
 */
public final class RunKey {
  /** Its name in a work folder. */
  static final String FILE = "key.json";

  private static final int DIGITS = 12;

  private final ImmutableMap<String, String> parts;

  private RunKey(Map<String, String> parts) {
    this.parts = ImmutableMap.copyOf(new TreeMap<>(parts));
  }

  /** Takes in one thing after the other. */
  public static final class Builder {
    private final Map<String, String> parts = new TreeMap<>();

    private Builder() {}

    /**
     * A value; the components of a record, and what is in an optional, each by a name of its own.
     */
    public Builder add(String name, Object value) {
      switch (value) {
        case Optional<?> optional -> add(name, optional.<Object>map(v -> v).orElse("none"));
        case OptionalInt optional ->
            add(name, optional.isPresent() ? (Object) optional.getAsInt() : "none");
        case Record composed -> {
          for (RecordComponent component : composed.getClass().getRecordComponents()) {
            add(name + "." + component.getName(), get(component, composed));
          }
          parts.put(name, composed.getClass().getSimpleName());
        }
        default -> parts.put(name, value.toString());
      }
      return this;
    }

    private static Object get(RecordComponent component, Object composed) {
      try {
        component.getAccessor().setAccessible(true);
        return component.getAccessor().invoke(composed);
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException("cannot read " + component, e);
      }
    }

    /** Windows of token ids of the calibration text. */
    public Builder add(List<int[]> windows) {
      return add("calibration text", windows);
    }

    /** Windows of token ids. */
    public Builder add(String name, List<int[]> windows) {
      Hasher hasher = Hashing.sha256().newHasher();
      long tokens = 0;
      for (int[] window : windows) {
        hasher.putInt(window.length);
        tokens += window.length;
        // All at once: a start has no time to compile a loop.
        ByteBuffer bytes =
            ByteBuffer.allocate(Integer.BYTES * window.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(window);
        hasher.putBytes(bytes);
      }
      return add(
          name,
          "%d windows of %d tokens, sha-256 %s".formatted(windows.size(), tokens, digits(hasher)));
    }

    /** Weights, each file by its name. */
    public Builder add(WeightFiles weights) {
      weights.parts().forEach((file, state) -> add("weights " + file, state));
      return this;
    }

    /** The backend and its device, and the build of this program. */
    public Builder add(Backend backend) throws IOException {
      add("backend", backend.info().name());
      add("backend.device", backend.info().device());
      add("backend.activation type", backend.activationType());
      backend.info().features().forEach((name, value) -> add("backend." + name, value));
      return add("program", ProgramBuild.checksum());
    }

    /** All of it. */
    public RunKey build() {
      return new RunKey(parts);
    }
  }

  /** Nothing yet. */
  public static Builder builder() {
    return new Builder();
  }

  /** Twelve hexadecimal digits. */
  public String text() {
    Hasher hasher = Hashing.sha256().newHasher();
    parts.forEach((name, value) -> {
      for (String text : List.of(name, value)) {
        hasher.putInt(text.length()).putString(text, StandardCharsets.UTF_8);
      }
    });
    return digits(hasher);
  }

  private static String digits(Hasher hasher) {
    return hasher.hash().toString().substring(0, DIGITS);
  }

  /** What differs from another key, each as {@code NAME was OLD and is NEW}. */
  public ImmutableList<String> changesSince(RunKey earlier) {
    ImmutableList.Builder<String> changes = ImmutableList.builder();
    TreeSet<String> names = new TreeSet<>(parts.keySet());
    names.addAll(earlier.parts.keySet());
    for (String name : names) {
      String before = earlier.parts.getOrDefault(name, "absent");
      String now = parts.getOrDefault(name, "absent");
      if (!now.equals(before)) {
        changes.add(name + " was " + before + " and is " + now);
      }
    }
    return changes.build();
  }

  /** Writes the parts into a work folder, for later runs and for people. */
  void write(Path folder) throws IOException {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    parts.forEach(json::put);
    Path file = folder.resolve(FILE);
    Files.deleteIfExists(file);
    DurableFiles.write(
        file, JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsBytes(json));
  }

  /** The key of a work folder, if it can be read. */
  static Optional<RunKey> read(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      Map<String, String> parts = new TreeMap<>();
      JsonNode json = JsonMapper.shared().readTree(Files.readAllBytes(file));
      json.properties().forEach(part -> parts.put(part.getKey(), part.getValue().asString()));
      return Optional.of(new RunKey(parts));
    } catch (JacksonException e) {
      // Cut off by a crash: nobody can say what that run was, and no one goes on with it.
      return Optional.empty();
    }
  }
}
