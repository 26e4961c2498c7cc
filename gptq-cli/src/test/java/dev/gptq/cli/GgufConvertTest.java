package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufShards;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.models.Model;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A reader of GGUF of its own finds in the file what the checkpoint holds. */
class GgufConvertTest {
  @TempDir Path folder;

  /** What a tensor's header says; dims are those of the file, the fastest first. */
  private record Info(List<Long> dims, int type, long offset) {}

  /** A file, read from its beginning to the data. */
  private static final class Gguf {
    final ByteBuffer bytes;
    final Map<String, Object> entries = new HashMap<>();
    final Map<String, Info> tensors = new HashMap<>();
    final int data;

    Gguf(Path file) throws IOException {
      bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      assertThat(bytes.getInt()).isEqualTo(0x46554747);
      assertThat(bytes.getInt()).isEqualTo(3);
      long tensorCount = bytes.getLong();
      long entryCount = bytes.getLong();
      for (long i = 0; i < entryCount; i++) {
        String key = text();
        entries.put(key, value(bytes.getInt()));
      }
      for (long i = 0; i < tensorCount; i++) {
        String name = text();
        List<Long> dims = new ArrayList<>();
        for (int left = bytes.getInt(); left > 0; left--) {
          dims.add(bytes.getLong());
        }
        tensors.put(name, new Info(dims, bytes.getInt(), bytes.getLong()));
      }
      data = (bytes.position() + 31) / 32 * 32;
    }

    private String text() {
      byte[] text = new byte[(int) bytes.getLong()];
      bytes.get(text);
      return new String(text, StandardCharsets.UTF_8);
    }

    private Object value(int type) {
      return switch (type) {
        case 4, 5 -> bytes.getInt();
        case 6 -> bytes.getFloat();
        case 7 -> bytes.get() != 0;
        case 8 -> text();
        case 9 -> {
          int element = bytes.getInt();
          List<Object> list = new ArrayList<>();
          for (long left = bytes.getLong(); left > 0; left--) {
            list.add(value(element));
          }
          yield list;
        }
        default -> throw new AssertionError("type " + type);
      };
    }

    /** A weight of a tensor of type Q4_0. */
    float weight(Info info, int row, int column) {
      int columns = info.dims().getFirst().intValue();
      int block = data + (int) info.offset() + 18 * (row * (columns / 32) + column / 32);
      int b = bytes.get(block + 2 + column % 16) & 0xff;
      int code = column % 32 < 16 ? b & 15 : b >>> 4;
      return Float.float16ToFloat(bytes.getShort(block)) * (code - 8);
    }
  }

  private Path quantized(String... more) {
    Path output = folder.resolve("q");
    List<Object> words =
        new ArrayList<>(
            List.of("quantize", "--model", Cli.TINY, "--output", output, "--method", "rtn"));
    words.addAll(List.of(more));
    assertThat(Cli.run(words.toArray()).status()).isZero();
    return output;
  }

  @Test
  void weightsAreThoseOfTheCheckpoint() throws IOException {
    Path output = quantized("--group-size", "32", "--format", "gptq,gguf", "--shard-size", "1MB");
    Path model = output.resolve("gptq");
    Path file = folder.resolve("tiny.gguf");
    String[] words = {"convert", "--model", model.toString(), "--format", "gguf", "--output"};
    Cli.Outcome done = Cli.run(with(words, file.toString()));
    assertThat(done.status()).as(done.err()).isZero();
    Path several = folder.resolve("several.gguf");
    done = Cli.run(with(words, several.toString(), "--shard-size", "1MB"));
    assertThat(done.out()).contains("several-00001-of-000");
    holdTheSame(file, several, output.resolve("gguf"));
    Gguf gguf = new Gguf(file);
    assertThat(gguf.entries)
        .containsEntry("general.architecture", "llama")
        .containsEntry("general.file_type", 2)
        .containsEntry("tokenizer.ggml.model", "gpt2")
        .containsEntry("tokenizer.ggml.pre", "gpt-2");
    try (Model opened = Model.open(model)) {
      int size = opened.config().headDim();
      assertThat(gguf.entries)
          .containsEntry("llama.block_count", opened.spec().blocks().size())
          .containsEntry("llama.attention.key_length", size);
      assertThat((List<?>) gguf.entries.get("tokenizer.ggml.tokens"))
          .hasSize(opened.spec().vocabulary());
      PackedModules modules = opened.quantization().orElseThrow();
      compare(gguf, "blk.1.attn_q.weight", modules, "model.layers.1.self_attn.q_proj", size);
      compare(gguf, "blk.0.attn_k.weight", modules, "model.layers.0.self_attn.k_proj", size);
      compare(gguf, "blk.5.attn_v.weight", modules, "model.layers.5.self_attn.v_proj", 1);
      compare(gguf, "blk.0.ffn_down.weight", modules, "model.layers.0.mlp.down_proj", 1);
      Info norm = gguf.tensors.get("output_norm.weight");
      assertThat(norm.type()).isZero();
      assertThat(gguf.bytes.getFloat(gguf.data + (int) norm.offset() + 4))
          .isEqualTo(Elements.get(opened.checkpoint().require("model.norm.weight"), 1));
      for (String format : List.of("compressed-tensors", "mlx")) {
        comesBack(GgufShards.first(several), format, modules);
      }
    }
    assertThat(Cli.run("inspect", file).out()).contains("quantized: Q4_0, format gguf");
  }

  /** Codes and scales of a file in another format are those of the checkpoint it was made of. */
  private void comesBack(Path file, String format, PackedModules modules) throws IOException {
    Path back = folder.resolve("back-" + format);
    Cli.Outcome done =
        Cli.run("convert", "--model", file, "--output", back, "--format", format, "--overwrite");
    assertThat(done.status()).as(done.err()).isZero();
    try (Model converted = Model.open(back)) {
      for (String module :
          List.of("model.layers.1.self_attn.q_proj", "model.layers.5.mlp.down_proj")) {
        PackedMatrix matrix = converted.quantization().orElseThrow().read(module).matrix();
        PackedMatrix before = modules.read(module).matrix();
        assertThat(matrix.words().mismatch(before.words())).as(format).isEqualTo(-1);
        assertThat(matrix.scales().mismatch(before.scales())).as(format).isEqualTo(-1);
        assertThat(matrix.scheme().hasZeroPoint() && !matrix.isCentred()).as(format).isFalse();
      }
    }
  }

  /** A file, the parts that it was converted into, and those of a run. */
  private static void holdTheSame(Path file, Path several, Path run) throws IOException {
    Path first = GgufShards.first(run.resolve("tiny-Q4_0.gguf"));
    assertThat(run.resolve("README.md")).content().contains("-m " + first.getFileName());
    try (GgufFile one = GgufFile.open(file);
        GgufFile ofRun = GgufFile.open(first);
        GgufFile converted = GgufFile.open(GgufShards.first(several))) {
      assertThat(ofRun.tensors().keySet()).isEqualTo(one.tensors().keySet());
      assertThat(converted.tensors().keySet()).isEqualTo(one.tensors().keySet());
      one.tensors()
          .forEach((name, tensor) -> {
            MemorySegment data = tensor.data().get();
            assertThat(converted.tensors().get(name).data().get().mismatch(data)).isEqualTo(-1);
            assertThat(ofRun.tensors().get(name).data().get().mismatch(data)).isEqualTo(-1);
          });
    }
  }

  /** Row r of a head is row r/2 of its first half if r is even, else of its second. */
  private static void compare(
      Gguf gguf, String name, PackedModules modules, String module, int head) {
    PackedMatrix matrix = modules.read(module).matrix();
    Info info = gguf.tensors.get(name);
    assertThat(info.type()).as(name).isEqualTo(2);
    assertThat(info.dims()).containsExactly((long) matrix.columns(), (long) matrix.rows());
    for (int row = 0; row < matrix.rows(); row++) {
      int r = row % head;
      int old = head == 1 ? row : row - r + (r % 2 == 0 ? r / 2 : head / 2 + r / 2);
      for (int column = 0; column < matrix.columns(); column++) {
        assertThat(gguf.weight(info, row, column)).isEqualTo(matrix.weight(old, column));
      }
    }
  }

  private static Object[] with(String[] words, String... more) {
    return Stream.of(words, more).flatMap(Arrays::stream).toArray();
  }

  @Test
  void optionsOfFoldersAreRefusedForOneFile() {
    String model = Cli.TINY.toString();
    String[] convert = {"convert", "--model", model, "--output", "x.gguf", "--format", "gguf"};
    assertThat(refusal(convert, "--base-model", "me/m")).contains("a single GGUF file has not");
  }

  private static String refusal(String[] words, String... more) {
    Cli.Outcome outcome = Cli.run(with(words, more));
    assertThat(outcome.status()).as(outcome.err()).isEqualTo(2);
    return outcome.err();
  }

  @Test
  void saysWhatHasNoPlace() throws IOException {
    Path model = quantized("--bits", "8", "--asym");
    Path file = folder.resolve("x.gguf");
    Cli.Outcome grid = Cli.run("convert", "--model", model, "--output", file, "--format", "gguf");
    assertThat(grid.status()).isEqualTo(65);
    assertThat(grid.err()).contains("GGUF has 8 bits for symmetric grids only");
    Cli.Outcome run =
        Cli.run(
            "quantize",
            "--model",
            Cli.TINY,
            "--output",
            file,
            "--format",
            "gguf",
            "--bits",
            "8",
            "--asym",
            "--method",
            "rtn");
    assertThat(run.status()).isEqualTo(65);
    assertThat(run.err()).contains("--format gguf has 8 bits for symmetric grids only");
    Cli.Outcome observed =
        Cli.run(
            "quantize",
            "--model",
            Cli.TINY,
            "--output",
            file,
            "--format",
            "gguf",
            "--observe",
            "2");
    assertThat(observed.err()).contains("--observe and --target-bpw may make them smaller");
    Cli.Outcome dense =
        Cli.run("convert", "--model", Cli.TINY, "--output", file, "--format", "gguf");
    assertThat(dense.err()).contains("is not quantized");

    Path tokenizer = model.resolve("tokenizer.json");
    String text = Files.readString(tokenizer);
    Files.writeString(
        tokenizer,
        text.replace("\"use_regex\":true", "\"use_regex\":false")
            .replace("\"use_regex\": true", "\"use_regex\": false"));
    Path four = folder.resolve("four");
    assertThat(
            Cli.run("quantize", "--model", Cli.TINY, "--output", four, "--method", "rtn").status())
        .isZero();
    Files.copy(tokenizer, four.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    Cli.Outcome split = Cli.run("convert", "--model", four, "--output", file, "--format", "gguf");
    assertThat(split.err()).contains("pre_tokenizer", "cannot be written as GGUF");
    assertThat(file).doesNotExist();
  }

  @Test
  void anEmbeddingOfCodesKeepsItsTypeAndSaysSo() {
    Path source =
        SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");
    Path output = folder.resolve("out.gguf");
    Cli.Outcome done =
        Cli.run(
            "convert",
            "--model",
            source,
            "--output",
            output,
            "--format",
            "gguf",
            "--embedding-type",
            "q8_0");
    assertThat(done.status()).isEqualTo(65);
    assertThat(done.err()).contains("is quantized already", "leave out --embedding-type");
    assertThat(output).doesNotExist();
  }
}
