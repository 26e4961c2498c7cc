package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.models.Model;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** GGUF files with types of llama.cpp. */
class GgufTypesTest {
  private static final Path NARROW =
      SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");

  @TempDir Path folder;

  private Cli.Outcome quantize(Object model, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of("quantize", "--model", model, "--output", folder.resolve("q"), "--method"));
    words.add("rtn");
    words.addAll(List.of(more));
    return Cli.run(words.toArray());
  }

  /** Root of the mean square of the difference, relative to the weights. */
  private static double relativeError(float[] weights, float[] others) {
    double wrong = 0;
    double all = 0;
    for (int i = 0; i < weights.length; i++) {
      wrong += Math.pow(weights[i] - (double) others[i], 2);
      all += Math.pow(weights[i], 2);
    }
    return Math.sqrt(wrong / all);
  }

  @Test
  void aMixtureHasItsTypes() throws IOException {
    Cli.Outcome done =
        quantize(Cli.TINY, "--type", "q4_k", "--include", "layers\\.[02]\\.(self_attn.v|mlp.down)");
    assertThat(done.status()).as(done.err()).isZero();
    assertThat(done.err()).contains("types of Q4_K_M: 2 Q4_K, 2 Q6_K");
    Path file = Cli.gguf(folder.resolve("q"));
    try (GgufFile gguf = GgufFile.open(file);
        Model source = Model.open(Cli.TINY);
        Model written = Model.open(file)) {
      assertThat(gguf.values().integer("general.file_type")).hasValue(15);
      assertThat(type(gguf, "token_embd")).isEqualTo(GgufType.Q6_K);
      assertThat(type(gguf, "blk.0.attn_v")).isEqualTo(GgufType.Q4_K);
      assertThat(type(gguf, "blk.2.attn_v")).isEqualTo(GgufType.Q6_K);
      assertThat(type(gguf, "blk.2.ffn_down")).isEqualTo(GgufType.Q6_K);
      assertThat(type(gguf, "blk.0.ffn_down")).isEqualTo(GgufType.Q4_K);
      assertThat(type(gguf, "blk.4.ffn_up").isPlain()).isTrue();
      assertThat(error(source, written, "model.embed_tokens.weight")).isBetween(0.005, 0.02);
      assertThat(error(source, written, "model.layers.2.mlp.down_proj.weight"))
          .isBetween(0.005, 0.02);
      assertThat(error(source, written, "model.layers.0.self_attn.v_proj.weight"))
          .isBetween(0.02, 0.08);
      assertThat(error(source, written, "model.layers.4.mlp.up_proj.weight")).isZero();
    }
  }

  private static GgufType type(GgufFile file, String tensor) {
    return file.tensors().get(tensor + ".weight").type();
  }

  private static double error(Model source, Model written, String tensor) {
    return relativeError(Weights.of(source, tensor), Weights.of(written, tensor));
  }

  @Test
  void pureKeepsTheEndsUnlessAsked() throws IOException {
    String few = "layers\\.0\\.self_attn.[kv]";
    assertThat(quantize(Cli.TINY, "--type", "Q5_K_M", "--pure", "--include", few).status())
        .isZero();
    Path file = Cli.gguf(folder.resolve("q"));
    try (GgufFile gguf = GgufFile.open(file)) {
      assertThat(type(gguf, "token_embd").isPlain()).isTrue();
      for (String module : List.of("attn_k", "attn_v")) {
        assertThat(type(gguf, "blk.0." + module)).isEqualTo(GgufType.Q5_K);
      }
    }
    Cli.Outcome again =
        quantize(
            Cli.TINY,
            "--type",
            "Q2_K",
            "--include",
            few,
            "--embedding-type",
            "q8_0",
            "--overwrite",
            "--format",
            "gguf");
    assertThat(again.status()).as(again.err()).isZero();
    try (GgufFile gguf = GgufFile.open(Cli.gguf(folder.resolve("q")))) {
      assertThat(type(gguf, "token_embd")).isEqualTo(GgufType.Q8_0);
    }
  }

  /** Blocks of 32 take the place of those of 256 in rows of 64. */
  @ParameterizedTest
  @CsvSource({"Q4_K_M, Q5_0, 0.04", "Q5_K_S, Q5_1, 0.04", "Q6_K, Q8_0, 0.004"})
  void narrowRowsGetBlocksOf32(String asked, GgufType type, double error) throws IOException {
    Cli.Outcome done = quantize(NARROW, "--type", asked);
    assertThat(done.status()).as(done.err()).isZero();
    Path file = Cli.gguf(folder.resolve("q"));
    try (GgufFile gguf = GgufFile.open(file);
        Model source = Model.open(NARROW);
        Model written = Model.open(file)) {
      assertThat(type(gguf, "blk.0.ffn_down")).isEqualTo(type);
      assertThat(type(gguf, "token_embd")).isEqualTo(GgufType.Q8_0);
      assertThat(error(source, written, "model.layers.0.self_attn.q_proj.weight"))
          .isLessThan(error)
          .isPositive();
    }
  }

  @Test
  void whatContradictsATypeIsRefused() {
    assertThat(quantize(Cli.TINY, "--type", "Q4_K", "--bits", "4").err())
        .contains("--type Q4_K says bits, groups and grid itself; leave out --bits");
    assertThat(quantize(Cli.TINY, "--type", "Q9").err())
        .contains("--type must be one of Q2_K, Q3_K_S,")
        .contains("but is Q9");
    assertThat(quantize(Cli.TINY, "--pure").err()).contains("--pure needs --type");
    assertThat(quantize(Cli.TINY, "--type", "Q4_K", "--format", "gptq").err())
        .contains("only GGUF holds the blocks that --type names; leave out --format gptq");
    assertThat(
            Cli.run(
                    "quantize",
                    "--model",
                    Cli.TINY,
                    "--output",
                    folder.resolve("q"),
                    "--type",
                    "Q4_K",
                    "--target-bpw",
                    "5")
                .err())
        .contains("--observe and --target-bpw may make them smaller");
    assertThat(folder.resolve("q")).doesNotExist();
  }
}
