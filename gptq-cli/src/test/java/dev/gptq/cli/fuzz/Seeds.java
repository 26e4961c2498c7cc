package dev.gptq.cli.fuzz;

import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.zip.GZIPOutputStream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** The files that are changed: a Llama of two blocks, its tokenizer, and a text for it. */
public final class Seeds {
  public static final String TEXT =
      "the captain looked at the sea, and the sea looked back at him. ";

  private static final int HIDDEN = 32;
  private static final int WIDE = 64;
  private static final int VOCABULARY = 260;
  private static final JsonMapper JSON = JsonMapper.shared();

  private Seeds() {}

  /** Writes the model into a folder. */
  public static void model(Path folder, long shardLimit) throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder, WriterOptions.DEFAULT.withShardLimit(shardLimit))) {
      for (Map.Entry<String, long[]> tensor : tensors().entrySet()) {
        int elements =
            (int) (tensor.getValue()[0] * tensor.getValue()[tensor.getValue().length - 1]);
        if (tensor.getValue().length == 1) {
          elements = (int) tensor.getValue()[0];
        }
        short[] values = new short[elements];
        for (int i = 0; i < elements; i++) {
          values[i] =
              Float.floatToFloat16(
                  tensor.getValue().length == 1 ? 1 : (float) (0.2 * random.nextGaussian()));
        }
        writer.add(
            tensor.getKey(), StoredType.F16, tensor.getValue(), MemorySegment.ofArray(values));
      }
      writer.writeFile("config.json", text(config()));
      writer.writeFile(
          "generation_config.json", text("{\"eos_token_id\":[257,258],\"bos_token_id\":256}"));
      writer.writeFile(
          "tokenizer_config.json",
          text("{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"model_max_length\":64}"));
      writer.writeFile("tokenizer.json", text(tokenizer()));
      writer.commit();
    }
  }

  private static Map<String, long[]> tensors() {
    Map<String, long[]> tensors = new TreeMap<>();
    tensors.put("model.embed_tokens.weight", new long[] {VOCABULARY, HIDDEN});
    tensors.put("lm_head.weight", new long[] {VOCABULARY, HIDDEN});
    tensors.put("model.norm.weight", new long[] {HIDDEN});
    for (int block = 0; block < 2; block++) {
      String prefix = "model.layers." + block + ".";
      tensors.put(prefix + "input_layernorm.weight", new long[] {HIDDEN});
      tensors.put(prefix + "post_attention_layernorm.weight", new long[] {HIDDEN});
      for (String name : new String[] {"q", "k", "v", "o"}) {
        tensors.put(prefix + "self_attn." + name + "_proj.weight", new long[] {HIDDEN, HIDDEN});
      }
      tensors.put(prefix + "mlp.gate_proj.weight", new long[] {WIDE, HIDDEN});
      tensors.put(prefix + "mlp.up_proj.weight", new long[] {WIDE, HIDDEN});
      tensors.put(prefix + "mlp.down_proj.weight", new long[] {HIDDEN, WIDE});
    }
    return tensors;
  }

  private static String config() {
    return """
    {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":32,
    "intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":2,
    "num_key_value_heads":2,"head_dim":16,"vocab_size":260,"max_position_embeddings":128,
    "rms_norm_eps":1e-5,"rope_theta":10000.0,"hidden_act":"silu","tie_word_embeddings":false,
    "attention_bias":false,"mlp_bias":false,"bos_token_id":256,"eos_token_id":257,
    "rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
    "high_freq_factor":4.0,"original_max_position_embeddings":64},"torch_dtype":"float16"}
    """;
  }

  /** Byte pairs, of which a few are merged, with the letters that stand for bytes. */
  private static String tokenizer() {
    ObjectNode vocabulary = JSON.createObjectNode();
    int other = 256;
    for (int b = 0; b < 256; b++) {
      boolean shown = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      vocabulary.put(String.valueOf((char) (shown ? b : other++)), b);
    }
    ObjectNode root = JSON.createObjectNode().put("version", "1.0");
    root.set("truncation", JSON.nullNode());
    root.set("padding", JSON.nullNode());
    root.set(
        "added_tokens",
        JSON.readTree(
            """
            [{"id":256,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,
            "normalized":false,"special":true},
            {"id":257,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,
            "normalized":false,"special":true}]
            """));
    root.set("normalizer", JSON.readTree("{\"type\":\"NFC\"}"));
    String bytes =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}";
    root.set("pre_tokenizer", JSON.readTree(bytes));
    root.set("post_processor", JSON.readTree(bytes));
    root.set("decoder", JSON.readTree(bytes));
    vocabulary.put("th", 258).put("the", 259);
    ObjectNode model = root.putObject("model").put("type", "BPE");
    model.set("vocab", vocabulary);
    model.putArray("merges").add("t h").add("th e");
    return root.toString();
  }

  /** Rows of texts. */
  static byte[] rows() {
    return text(("{\"text\":\"" + TEXT + TEXT + "\",\"id\":1}\n").repeat(3));
  }

  /** The same, compressed. */
  static byte[] compressedRows() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
      out.write(rows());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  static byte[] text(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
