package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.gptq.GptqTensors;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Checkpoints whose output layer is quantized, as GPTQModel makes them with {@code lm_head}. */
final class QuantizedHeadTest {
  private static final String HEAD = "lm_head";
  private static final int GROUP = 128;

  @TempDir private Path folder;

  @Test
  void anOutputLayerOfCodesIsConvertedToTheNumbersTheyStandFor() throws IOException {
    Path quantized = folder.resolve("w4");
    assertThat(Cli.run("quantize", "--model", Cli.TINY, "--output", quantized, "--method", "rtn"))
        .returns(0, Cli.Outcome::status);
    Path source = folder.resolve("head");
    PackedMatrix head = withHead(quantized, source);

    Path converted = folder.resolve("converted");
    Cli.Outcome outcome =
        Cli.run(
            "convert", "--model", source, "--output", converted, "--format", "compressed-tensors");
    assertThat(outcome.status()).as(outcome.err()).isZero();
    for (Path model : new Path[] {source, converted}) {
      try (Model opened = Model.open(model)) {
        requireSame(opened.checkpoint().require(HEAD + ".weight"), head);
      }
    }
    JsonNode settings =
        JsonMapper.shared()
            .readTree(converted.resolve("config.json"))
            .required("quantization_config");
    assertThat(settings.required("ignore").toString()).contains("\"lm_head\"");
    try (Checkpoint written = Checkpoint.open(converted)) {
      assertThat(written.names()).noneMatch(name -> name.startsWith(HEAD + ".q"));
    }
  }

  private static void requireSame(StoredTensor stored, PackedMatrix head) {
    // Decoded once, not for every number.
    StoredTensor weight =
        new StoredTensor(
            stored.name(), stored.type(), stored.shape(), stored.file(), stored.data());
    assertThat(weight.shape())
        .isEqualTo(ImmutableList.of((long) head.rows(), (long) head.columns()));
    for (int o = 0; o < head.rows(); o += 97) {
      for (int i = 0; i < head.columns(); i++) {
        assertThat(Elements.get(weight, (long) o * head.columns() + i))
            .isEqualTo(head.weight(o, i));
      }
    }
  }

  /** The same checkpoint with an output layer of its own, of random codes. */
  private static PackedMatrix withHead(Path from, Path to) throws IOException {
    try (Checkpoint source = Checkpoint.open(from);
        CheckpointWriter writer = CheckpointWriter.create(to, WriterOptions.DEFAULT)) {
      StoredTensor embedding = source.require("model.embed_tokens.weight");
      PackedMatrix head = random(embedding.rows(), embedding.columns());
      for (String name : source.names()) {
        writer.add(source.require(name));
      }
      writer.addAll(GptqTensors.encode(HEAD, head, Version.V1, Optional.empty(), from));
      for (String name : new String[] {"config.json", "quantize_config.json"}) {
        ObjectNode json = (ObjectNode) JsonMapper.shared().readTree(from.resolve(name));
        if (json.has("tie_word_embeddings")) {
          json.put("tie_word_embeddings", false);
        }
        ObjectNode settings =
            json.get("quantization_config") instanceof ObjectNode inside ? inside : json;
        settings.put(HEAD, true);
        writer.writeFile(name, json.toString().getBytes(StandardCharsets.UTF_8));
      }
      for (String name : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
        if (Files.exists(from.resolve(name))) {
          writer.copyFile(from.resolve(name));
        }
      }
      writer.commit();
      return head;
    }
  }

  private static PackedMatrix random(int rows, int columns) {
    Random random = new Random(4);
    int[] words = new int[BitStream.words(columns, 4) * rows];
    Arrays.setAll(words, _ -> random.nextInt());
    float[] scales = new float[columns / GROUP * rows];
    Arrays.fill(scales, 0x1p-6f);
    return new PackedMatrix(
        Scheme.SYMMETRIC,
        4,
        rows,
        columns,
        columns / GROUP,
        MemorySegment.ofArray(words),
        MemorySegment.ofArray(scales),
        Optional.empty(),
        Optional.empty());
  }
}
