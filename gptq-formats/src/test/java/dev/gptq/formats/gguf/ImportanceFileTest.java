package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.ImportanceFile.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImportanceFileTest {
  @TempDir Path folder;

  /** The older form: a number of entries, each with its name, calls and sums, and a tail. */
  private static byte[] old(int calls, float... sums) {
    byte[] name = "blk.0.ffn_up.weight".getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(100 + 4 * sums.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(1)
            .putInt(name.length)
            .put(name)
            .putInt(calls)
            .putInt(sums.length);
    for (float sum : sums) {
      bytes.putFloat(sum);
    }
    bytes.putInt(calls).putInt(4).put("text".getBytes(StandardCharsets.UTF_8));
    return Arrays.copyOf(bytes.array(), bytes.position());
  }

  private Path file(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("imatrix.dat"), bytes);
  }

  @Test
  void readsTheOlderForm() throws IOException {
    Entry entry = ImportanceFile.read(file(old(4, 8, 2, 0, 1))).get("blk.0.ffn_up.weight");
    assertThat(entry.means()).containsExactly(2, 0.5f, 0, 0.25f);
    assertThat(entry.means(2, 1)).containsExactly(0, 0.25f);
    assertThat(entry.tokens(0)).isEqualTo(2048);
    assertThat(entry.tokens(1)).isEqualTo(2048);
  }

  @Test
  void readsWhatItWrites() throws IOException {
    Path file = folder.resolve("imatrix.gguf");
    ImmutableMap<String, Entry> entries =
        ImmutableMap.of(
            "blk.0.attn_q.weight",
            new Entry(new float[] {0.5f, 2, 0.25f}, new float[] {1000}),
            "blk.0.ffn_up_exps.weight",
            new Entry(new float[] {1, 2, 0, 0}, new float[] {7, 0}));
    ImportanceFile.write(file, entries, 300, false);
    try (GgufFile gguf = GgufFile.open(file)) {
      assertThat(gguf.values().text("general.type")).hasValue("imatrix");
      assertThat(gguf.values().integer("imatrix.chunk_count")).hasValue(4);
      assertThat(gguf.values().integer("imatrix.chunk_size")).hasValue(300);
      assertThat(gguf.tensors().get("blk.0.attn_q.weight.in_sum2").shape()).containsExactly(1L, 3L);
      assertThat(gguf.tensors().get("blk.0.ffn_up_exps.weight.counts").shape())
          .containsExactly(2L, 1L);
    }
    ImmutableMap<String, Entry> read = ImportanceFile.read(file);
    assertThat(read.keySet()).isEqualTo(entries.keySet());
    Entry experts = read.get("blk.0.ffn_up_exps.weight");
    assertThat(experts.means()).containsExactly(1, 2, 0, 0);
    assertThat(experts.tokens(0)).isEqualTo(7);
    assertThat(experts.tokens(1)).isZero();
    assertThat(read.get("blk.0.attn_q.weight").means()).containsExactly(0.5f, 2, 0.25f);
    assertThatThrownBy(() -> ImportanceFile.write(file, entries, 300, false))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("exists; choose another file or add --overwrite");
  }

  @Test
  void refusesWhatIsDamaged() throws IOException {
    byte[] good = old(4, 8, 2, 0, 1);
    for (int length : new int[] {0, 3, 10, 30, 40}) {
      Path cut = file(Arrays.copyOf(good, length));
      assertThatThrownBy(() -> ImportanceFile.read(cut))
          .as("%s bytes", length)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is no importance matrix of llama.cpp, or is cut off");
    }
    for (float wrong : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
      Path bad = file(old(1, wrong));
      assertThatThrownBy(() -> ImportanceFile.read(bad))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("has the mean square");
    }
    Path none = folder.resolve("none.gguf");
    ImportanceFile.write(none, ImmutableMap.of(), 1, false);
    assertThatThrownBy(() -> ImportanceFile.read(none))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("has no entry of an importance matrix");
  }
}
