package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.ImmutableSortedSet;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** What a model in safetensors format consists of. */
final class ModelFiles extends FileSelection {
  private static final String CONFIG = "config.json";
  private static final String INDEX = "model.safetensors.index.json";
  private static final String SINGLE = "model.safetensors";
  private static final long LONGEST_INDEX = 100_000_000;

  /** Of small files beside the weights. */
  private static final Set<String> ENDINGS =
      Set.of("json", "jinja", "txt", "model", "tiktoken", "md", "py");

  private static final Set<String> BEGINNINGS = Set.of("license", "notice", "use_policy");

  /** Indexes of the same weights in other formats. */
  private static final Set<String> FOREIGN =
      Set.of(
          "pytorch_model.bin.index.json",
          "tf_model.h5.index.json",
          "flax_model.msgpack.index.json");

  @Override
  ImmutableList<RemoteFile> choose(Repo repo, ImmutableList<RemoteFile> files, Reader reader)
      throws IOException {
    ImmutableSet<String> weights = weights(repo, files, reader);
    return files.stream()
        .filter(f -> isSide(f) || weights.contains(f.path()))
        .collect(ImmutableList.toImmutableList());
  }

  private static ImmutableSet<String> weights(
      Repo repo, ImmutableList<RemoteFile> files, Reader reader) throws IOException {
    ImmutableSet<String> paths =
        files.stream().map(RemoteFile::path).collect(ImmutableSet.toImmutableSet());
    if (!paths.contains(CONFIG)) {
      throw new HubException(
          Reason.NOT_FOUND,
          repo + " holds no config.json, so it is no model for transformers; " + others(paths));
    }
    for (RemoteFile file : files) {
      if (file.path().equals(INDEX)) {
        ImmutableSet<String> shards = shards(reader.load(requireShort(file)));
        for (String shard : shards) {
          if (!paths.contains(shard)) {
            throw new HubException(
                Reason.DAMAGED,
                "%s of %s names %s, which is not there; its owner must upload it"
                    .formatted(INDEX, repo, Text.printable(shard)));
          }
        }
        return shards;
      }
    }
    if (!paths.contains(SINGLE)) {
      throw new HubException(
          Reason.NOT_FOUND,
          "%s holds neither %s nor %s; %s".formatted(repo, SINGLE, INDEX, others(paths)));
    }
    return ImmutableSet.of(SINGLE);
  }

  private static RemoteFile requireShort(RemoteFile index) throws HubException {
    if (index.size() > LONGEST_INDEX) {
      throw new HubException(
          Reason.DAMAGED, "%s is said to have %d bytes".formatted(INDEX, index.size()));
    }
    return index;
  }

  private static String others(ImmutableSet<String> paths) {
    return has(paths, ".gguf")
        ? "it holds GGUF files; look for the model that they were made from"
        : has(paths, ".bin")
            ? "it holds PyTorch weights; look for a revision or a repository with safetensors"
            : "look for the repository of the model itself";
  }

  private static boolean has(ImmutableSet<String> paths, String ending) {
    return paths.stream().anyMatch(p -> p.endsWith(ending));
  }

  /** The files that an index names. */
  private static ImmutableSet<String> shards(Path index) throws IOException {
    JsonNode map;
    try {
      map = Api.JSON.readTree(Files.readAllBytes(index)).path("weight_map");
    } catch (JacksonException e) {
      throw noIndex(index, e);
    }
    ImmutableSortedSet.Builder<String> shards = ImmutableSortedSet.naturalOrder();
    for (JsonNode shard : map) {
      shards.add(Names.requirePath(shard.asString(""), Reason.DAMAGED));
    }
    if (map.isEmpty()) {
      throw noIndex(index, null);
    }
    return shards.build();
  }

  private static HubException noIndex(Path index, Exception cause) {
    return new HubException(
        Reason.DAMAGED, index + " is no index of safetensors: it has no weight_map", cause);
  }

  private static boolean isSide(RemoteFile file) {
    String name = file.path().toLowerCase(Locale.ROOT);
    if (name.startsWith("additional_chat_templates/") && name.endsWith(".jinja")) {
      return true;
    }
    return !name.contains("/")
        && !FOREIGN.contains(name)
        && (ENDINGS.contains(name.substring(name.lastIndexOf('.') + 1))
            || BEGINNINGS.stream().anyMatch(name::startsWith));
  }

  @Override
  ImmutableList<String> missing(Path snapshot) throws IOException {
    Predicate<String> absent = path -> !Files.isRegularFile(snapshot.resolve(path));
    Path index = snapshot.resolve(INDEX);
    Stream<String> weights =
        Files.isRegularFile(index) ? shards(index).stream() : Stream.of(SINGLE);
    return Stream.concat(Stream.of(CONFIG), weights)
        .filter(absent)
        .collect(ImmutableList.toImmutableList());
  }

  @Override
  ImmutableList<String> found(Path snapshot) throws IOException {
    return all(snapshot);
  }
}
