package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Importance matrices of llama.cpp: of each matrix that weights are multiplied with, by its name in
 * a GGUF file, the mean square of every input column. Both forms are read: GGUF with sums and
 * counts, and the older one, which has one count for all experts.
 */
public final class ImportanceFile {
  private static final String SUMS = ".in_sum2";
  private static final String COUNTS = ".counts";
  private static final int LONGEST_NAME = 1 << 10;

  /** Tokens of a chunk, where a file counts those and does not say it. */
  private static final int CHUNK = 512;

  private ImportanceFile() {}

  /** What a file says of a tensor. */
  public static final class Entry {
    private final float[] means;
    private final float[] tokens;

    /**
     * Takes the arrays as they are.
     *
     * @param means mean squares of the columns, expert by expert
     * @param tokens how many they are of, one number or one an expert
     */
    public Entry(float[] means, float[] tokens) {
      this.means = means;
      this.tokens = tokens;
    }

    /** Mean squares of the columns, expert by expert; not to be changed. */
    public float[] means() {
      return means;
    }

    /** Those of an expert, or of a tensor without experts as expert 0. */
    public float[] means(int columns, int expert) {
      float[] some = new float[columns];
      System.arraycopy(means, columns * expert, some, 0, columns);
      return some;
    }

    /** The tokens that an expert saw. */
    public long tokens(int expert) {
      return (long) tokens[tokens.length == 1 ? 0 : expert];
    }
  }

  /**
   * Reads a file.
   *
   * @throws BadInputException if it is not one, or damaged
   */
  public static ImmutableMap<String, Entry> read(Path file) throws IOException {
    return GgufFile.is(file) ? readGguf(file) : readOld(file);
  }

  private static ImmutableMap<String, Entry> readGguf(Path file) throws IOException {
    ImmutableMap.Builder<String, Entry> entries = ImmutableMap.builder();
    try (GgufFile gguf = GgufFile.open(file)) {
      for (Map.Entry<String, GgufStored> tensor : gguf.tensors().entrySet()) {
        if (!tensor.getKey().endsWith(SUMS)) {
          continue;
        }
        String name = tensor.getKey().substring(0, tensor.getKey().length() - SUMS.length());
        GgufStored count = gguf.tensors().get(name + COUNTS);
        float[] sums = floats(file, tensor.getValue());
        float[] counts = count == null ? new float[0] : floats(file, count);
        if (counts.length == 0 || sums.length % counts.length != 0) {
          throw new BadInputException(
              "%s: the sums of '%s' have no counts; the file is damaged".formatted(file, name));
        }
        requireCounts(file, name, counts);
        int columns = sums.length / counts.length;
        for (int i = 0; i < sums.length; i++) {
          float tokens = counts[i / columns];
          sums[i] = tokens > 0 ? sums[i] / tokens : 0;
        }
        entries.put(name, checked(file, name, new Entry(sums, counts)));
      }
    }
    return some(file, entries.buildOrThrow());
  }

  private static float[] floats(Path file, GgufStored tensor) {
    if (tensor.type() != GgufType.F32) {
      throw new BadInputException(
          "%s: '%s' is %s and not F32".formatted(file, tensor.name(), tensor.type()));
    }
    return tensor.data().get().toArray(Elements.FLOAT);
  }

  private static ImmutableMap<String, Entry> readOld(Path file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    ImmutableMap.Builder<String, Entry> entries = ImmutableMap.builder();
    try {
      for (int left = size(file, in.getInt(), in.remaining()); left > 0; left--) {
        byte[] utf8 = new byte[size(file, in.getInt(), LONGEST_NAME)];
        in.get(utf8);
        String name = new String(utf8, StandardCharsets.UTF_8);
        int chunks = in.getInt();
        float[] means = new float[size(file, in.getInt(), in.remaining() / Float.BYTES)];
        for (int i = 0; i < means.length; i++) {
          means[i] = in.getFloat() / Math.max(1, chunks);
        }
        float[] tokens = {(float) CHUNK * Math.max(0, chunks)};
        entries.put(name, checked(file, name, new Entry(means, tokens)));
      }
    } catch (BufferUnderflowException e) {
      throw damaged(file);
    }
    return some(file, entries.buildKeepingLast());
  }

  private static int size(Path file, int size, int most) {
    if (size < 1 || size > most) {
      throw damaged(file);
    }
    return size;
  }

  private static Entry checked(Path file, String name, Entry entry) {
    for (float mean : entry.means()) {
      if (!(mean >= 0 && mean <= Float.MAX_VALUE)) {
        throw new BadInputException(
            "%s: '%s' has the mean square %s; the file is damaged".formatted(file, name, mean));
      }
    }
    return entry;
  }

  private static ImmutableMap<String, Entry> some(Path file, ImmutableMap<String, Entry> entries) {
    if (entries.isEmpty()) {
      throw new BadInputException(file + " has no entry of an importance matrix");
    }
    return entries;
  }

  private static void requireCounts(Path file, String name, float[] counts) {
    for (float count : counts) {
      if (!(count >= 0 && count <= Float.MAX_VALUE)) {
        throw new BadInputException(
            "%s: '%s' has seen %s tokens; the file is damaged".formatted(file, name, count));
      }
    }
  }

  private static BadInputException damaged(Path file) {
    return new BadInputException(
        file + " is no importance matrix of llama.cpp, or is cut off; give one in GGUF or .dat");
  }

  /**
   * Writes a file in the form of GGUF. Throws {@link BadInputException} if something stands there
   * that must not be replaced.
   *
   * @param entries by names in a GGUF file, with a count for each expert
   * @param chunk tokens of a window
   */
  public static void write(Path file, Map<String, Entry> entries, int chunk, boolean overwrite)
      throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put("general.type", "imatrix");
    metadata.putTexts("imatrix.datasets", List.of("calibration text"));
    float most = 0;
    List<GgufTensor> tensors = new ArrayList<>();
    for (Map.Entry<String, Entry> named : entries.entrySet()) {
      float[] counts = named.getValue().tokens;
      float[] sums = named.getValue().means().clone();
      int columns = sums.length / counts.length;
      for (int i = 0; i < sums.length; i++) {
        sums[i] *= counts[i / columns];
        most = Math.max(most, counts[i / columns]);
      }
      tensors.add(tensor(named.getKey() + SUMS, counts.length, columns, sums));
      tensors.add(tensor(named.getKey() + COUNTS, counts.length, 1, counts));
    }
    metadata.put("imatrix.chunk_count", (int) Math.ceil(most / chunk));
    metadata.put("imatrix.chunk_size", chunk);
    GgufWriter.write(file, metadata, tensors, overwrite);
  }

  private static GgufTensor tensor(String name, long rows, long columns, float[] values) {
    MemorySegment bytes = Elements.toSegment(values);
    return new GgufTensor(
        name, GgufType.F32, ImmutableList.of(rows, columns), ImmutableList.of(() -> bytes));
  }
}
