package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.DurableFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A GGUF file in several, as llama.cpp names and reads them: {@code NAME-00001-of-00003.gguf} and
 * so on. Each says which one it is, of how many, and how many tensors all have; the first has what
 * else is said of the model.
 *
 * <p>All grow under hidden names. They get their own when the disk has all of them, the first one
 * last, before which an older first one goes: what stands there at any time can be opened only if
 * it is one whole set.
 */
public final class GgufShards {
  private static final Pattern NAME = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");
  private static final String ENDING = ".gguf";

  /** That of an unsigned integer of 16 bits, in which a file says its number. */
  private static final int MOST = 0xffff;

  private GgufShards() {}

  /** The number of files that a name says there are, if it is that of one of several. */
  static Optional<Integer> count(Path file) {
    Matcher name = NAME.matcher(file.getFileName().toString());
    return name.matches() ? Optional.of(Integer.valueOf(name.group(3))) : Optional.empty();
  }

  /**
   * The file of a number beside another one, of which it is a part or which it is a part of.
   *
   * @param number from 0 on
   */
  static Path sibling(Path file, int number, int count) {
    return file.resolveSibling(
        String.format(Locale.ROOT, "%s-%05d-of-%05d%s", stem(file), number + 1, count, ENDING));
  }

  private static String stem(Path file) {
    String own = file.getFileName().toString();
    Matcher name = NAME.matcher(own);
    return name.matches()
        ? name.group(1)
        : own.endsWith(ENDING) ? own.substring(0, own.length() - ENDING.length()) : own;
  }

  /** What a program is given that reads such a file: the file, or the first of its parts. */
  public static Path first(Path file) throws IOException {
    if (Files.exists(file)) {
      return file;
    }
    return parts(file, false).stream()
        .filter(part -> part.equals(sibling(file, 0, count(part).orElseThrow())))
        .findFirst()
        .orElse(file);
  }

  /** The files beside one that have the names of its parts, of however many. */
  private static ImmutableList<Path> parts(Path file, boolean partial) throws IOException {
    Path folder = file.toAbsolutePath().normalize().getParent();
    if (!Files.isDirectory(folder)) {
      return ImmutableList.of();
    }
    Pattern wanted =
        Pattern.compile(
            (partial ? "\\." : "")
                + Pattern.quote(stem(file))
                + "-\\d{5}-of-\\d{5}\\.gguf"
                + (partial ? "\\.partial" : ""));
    try (Stream<Path> beside = Files.list(folder)) {
      return beside
          .filter(path -> wanted.matcher(path.getFileName().toString()).matches())
          .sorted()
          .map(path -> file.resolveSibling(path.getFileName()))
          .collect(ImmutableList.toImmutableList());
    }
  }

  /** Throws if a file or parts of it stand there that may not be replaced. */
  public static void requireReplaceable(Path file, boolean overwrite) throws IOException {
    GgufWriter.requireReplaceable(file, overwrite);
    for (Path part : parts(file, false)) {
      GgufWriter.requireReplaceable(part, overwrite);
    }
  }

  /**
   * Writes tensors into files of at most so many bytes of them, or of one tensor; one file of its
   * own name where all fit. Parts of an older set that are not parts of the new one are deleted.
   * Throws {@link BadInputException} if something stands there that must not be replaced.
   *
   * @param metadata of the model; what is said of the parts is added
   * @return the first file
   */
  public static Path write(
      Path file, GgufMetadata metadata, List<GgufTensor> tensors, long limit, boolean overwrite)
      throws IOException {
    requireReplaceable(file, overwrite);
    ImmutableList<ImmutableList<GgufTensor>> shards = cut(tensors, limit);
    if (shards.size() > MOST) {
      throw new BadInputException(
          "%s would be %d files, and GGUF has %d at most; choose larger ones"
              .formatted(file, shards.size(), MOST));
    }
    List<Path> files = new ArrayList<>();
    for (int i = 0; i < shards.size(); i++) {
      files.add(shards.size() == 1 ? file : sibling(file, i, shards.size()));
    }
    Files.createDirectories(file.toAbsolutePath().normalize().getParent());
    for (Path left : parts(file, true)) {
      Files.delete(left);
    }
    try {
      for (int i = 0; i < shards.size(); i++) {
        GgufMetadata own = i == 0 ? metadata : new GgufMetadata();
        if (shards.size() > 1) {
          own.putShort("split.no", i);
          own.putShort("split.count", shards.size());
          own.putSigned("split.tensors.count", tensors.size());
        }
        GgufWriter.writePartial(GgufWriter.partial(files.get(i)), own, shards.get(i));
      }
      replace(file, files);
    } finally {
      for (Path each : files) {
        Files.deleteIfExists(GgufWriter.partial(each));
      }
    }
    return files.getFirst();
  }

  private static void replace(Path file, List<Path> files) throws IOException {
    List<Path> old = new ArrayList<>(parts(file, false));
    if (Files.exists(file)) {
      old.addFirst(file);
    }
    for (Path each : old) {
      // The first of a set sorts before the others.
      Files.delete(each);
    }
    for (Path each : files.reversed()) {
      Files.move(GgufWriter.partial(each), each, StandardCopyOption.ATOMIC_MOVE);
    }
    DurableFiles.syncFolder(file.toAbsolutePath().normalize().getParent());
  }

  private static ImmutableList<ImmutableList<GgufTensor>> cut(
      List<GgufTensor> tensors, long limit) {
    ImmutableList.Builder<ImmutableList<GgufTensor>> shards = ImmutableList.builder();
    List<GgufTensor> shard = new ArrayList<>();
    long bytes = 0;
    for (GgufTensor tensor : tensors) {
      if (!shard.isEmpty() && bytes + tensor.bytes() > limit) {
        shards.add(ImmutableList.copyOf(shard));
        shard.clear();
        bytes = 0;
      }
      shard.add(tensor);
      bytes += tensor.bytes();
    }
    return shards.add(ImmutableList.copyOf(shard)).build();
  }
}
