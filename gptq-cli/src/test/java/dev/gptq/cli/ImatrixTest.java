package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.ImportanceFile;
import dev.gptq.formats.gguf.ImportanceFile.Entry;
import dev.gptq.models.Model;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImatrixTest {
  private static final Path MODEL =
      SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");

  @TempDir Path folder;

  private Cli.Outcome quantize(String output, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "quantize",
                "--model",
                MODEL,
                "--output",
                folder.resolve(output),
                "--type",
                "Q2_K",
                "--pure"));
    words.addAll(List.of(more));
    return Cli.run(words.toArray());
  }

  private Path written() {
    Path file = folder.resolve("imatrix.gguf");
    Cli.Outcome done =
        quantize(
            "calibrated",
            "--calibration",
            Cli.CALIBRATION,
            "--samples",
            "4",
            "--seq-len",
            "32",
            "--write-imatrix",
            file);
    assertThat(done.status()).as(done.err()).isZero();
    return file;
  }

  @Test
  void whatIsWrittenIsTakenAndDecides() throws IOException {
    Path file = written();
    ImmutableMap<String, Entry> entries = ImportanceFile.read(file);
    try (Model model = Model.open(MODEL)) {
      assertThat(entries).hasSize(7 * model.spec().blocks().size());
    }
    Entry queries = entries.get("blk.0.attn_q.weight");
    assertThat(queries.tokens(0)).isEqualTo(128);
    assertThat(queries.means()).containsExactly(entries.get("blk.0.attn_k.weight").means());
    double mean = 0;
    for (float square : queries.means()) {
      mean += square / queries.means().length;
    }
    // A norm's output, whose gains are near 1.
    assertThat(mean).isCloseTo(1, within(0.5));

    assertThat(quantize("taken", "--imatrix", file).status()).isZero();
    assertThat(quantize("older", "--imatrix", older(entries)).status()).isZero();
    assertThat(Cli.gguf(folder.resolve("older")))
        .hasSameBinaryContentAs(Cli.gguf(folder.resolve("taken")));
    Map<String, Entry> alike = new LinkedHashMap<>();
    entries.forEach((name, entry) -> {
      float[] ones = new float[entry.means().length];
      Arrays.fill(ones, 1);
      alike.put(name, new Entry(ones, new float[] {entry.tokens(0)}));
    });
    Path flat = folder.resolve("flat.gguf");
    ImportanceFile.write(flat, alike, 32, false);
    assertThat(quantize("flat", "--imatrix", flat).status()).isZero();
    assertThat(weighted(queries, "taken")).isLessThan(weighted(queries, "flat"));
  }

  /** The same means in the form of .dat, which says another number of tokens. */
  private Path older(Map<String, Entry> entries) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.writeBytes(integer(entries.size()));
    entries.forEach((name, entry) -> {
      bytes.writeBytes(integer(name.length()));
      bytes.writeBytes(name.getBytes(StandardCharsets.UTF_8));
      bytes.writeBytes(integer(2));
      bytes.writeBytes(integer(entry.means().length));
      for (float mean : entry.means()) {
        bytes.writeBytes(integer(Float.floatToRawIntBits(2 * mean)));
      }
    });
    bytes.writeBytes(integer(2));
    bytes.writeBytes(integer(0));
    return Files.write(folder.resolve("imatrix.dat"), bytes.toByteArray());
  }

  private static byte[] integer(int value) {
    return ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array();
  }

  /** The error of the queries of the first block by what errors cost. */
  private double weighted(Entry entry, String output) throws IOException {
    try (Model source = Model.open(MODEL);
        Model model = Model.open(Cli.gguf(folder.resolve(output)))) {
      float[] before = Weights.of(source, "model.layers.0.self_attn.q_proj.weight");
      float[] after = Weights.of(model, "model.layers.0.self_attn.q_proj.weight");
      double sum = 0;
      for (int i = 0; i < before.length; i++) {
        double cost = entry.means()[i % entry.means().length];
        sum += cost * Math.pow(before[i] - (double) after[i], 2);
      }
      return sum;
    }
  }

  @Test
  void sayWhatDoesNotFit() throws IOException {
    Path other = folder.resolve("other.gguf");
    ImportanceFile.write(
        other,
        ImmutableMap.of("blk.0.attn_k.weight", new Entry(new float[] {1, 2}, new float[] {9})),
        32,
        false);
    assertThat(quantize("q", "--imatrix", other).err())
        .contains("'blk.0.attn_k.weight' has 2 numbers", "make it of the same model");
    ImportanceFile.write(
        other,
        ImmutableMap.of("blk.0.attn_x.weight", new Entry(new float[] {1, 2}, new float[] {9})),
        32,
        true);
    assertThat(quantize("q", "--imatrix", other).err())
        .contains("has no entry 'blk.0.attn_k.weight'");
    assertThat(quantize("q", "--imatrix", other, "--samples", "4").err())
        .contains("--imatrix takes the place of a calibration text; leave out --samples");
    assertThat(quantize("q", "--method", "rtn", "--write-imatrix", folder.resolve("x")).err())
        .contains("an importance matrix is made of a calibration text");
    assertThat(folder.resolve("q")).doesNotExist();
    Files.writeString(folder.resolve("text"), "no file of that kind");
    assertThat(quantize("q", "--imatrix", folder.resolve("text")).err())
        .contains("is no importance matrix of llama.cpp");
  }
}
