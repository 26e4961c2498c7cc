package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.Model;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Small models that other programs quantized, embedding and output layer included where they do,
 * and the logits that these programs or transformers compute of them.
 */
class OtherQuantizersTest {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Positions whose logits are kept. */
  private static final int[] POSITIONS = {19, 39};

  @ParameterizedTest
  @ValueSource(
      strings = {
        "compressed-tensors/llama-headdim-w4g32a",
        "compressed-tensors/llama-headdim-w4g32gptq-gidx",
        "compressed-tensors/llama-headdim-w8ch",
        "compressed-tensors/llama-headdim-w3g32",
        "compressed-tensors/llama-gqa-rope3-w4g32a",
        "compressed-tensors/qwen3-w4g32a",
        "compressed-tensors/gemma3-w4g32",
        "mlx/llama-headdim-3g32",
        "mlx/llama-gqa-rope3-4g32",
        "mlx/qwen3-4g64",
        "mlx/gemma3-4g64",
        "auto-round/llama-headdim-auto_awq",
        "auto-round/llama-headdim-auto_gptq",
        "auto-round/qwen3-auto_awq",
        "gguf/llama-gqa-rope3-Q4_0.gguf",
        "gguf/qwen3-Q4_0.gguf",
        "gguf/gemma3-Q4_0.gguf",
        "gguf/mixtral-Q4_0.gguf",
        "gguf/wide-Q3_K_M.gguf"
      })
  void logitsAreTheirs(String output) throws IOException {
    Path golden = SharedFiles.require("golden/formats");
    String name =
        output.replaceFirst(".*/", "").replaceFirst("-(auto|mixed|w?[0-9]+(g|ch)|Q).*", "");
    Expected source =
        Expected.read(
            name.equals("wide")
                ? golden.resolve("source").resolve(name)
                : SharedFiles.architecture(name));
    try (Model model = Model.open(golden.resolve(output));
        Checkpoint file = Checkpoint.open(golden.resolve("logits.safetensors"));
        Backend backend = TestBackends.open("reference");
        Decoder decoder = model.load(backend);
        TensorScope scope = backend.newScope()) {
      int vocabulary = model.spec().vocabulary();
      float[] theirs = file.require(output).data().toArray(FLOAT);
      float[] ours = HostCopies.floats(decoder.logits(source.windows(), scope));
      int length = source.windows().getFirst().length;
      for (int w = 0; w < source.windows().size(); w++) {
        for (int p = 0; p < POSITIONS.length; p++) {
          for (int v = 0; v < vocabulary; v++) {
            assertThat(ours[(w * length + POSITIONS[p]) * vocabulary + v])
                .isCloseTo(theirs[(w * POSITIONS.length + p) * vocabulary + v], within(2e-4f));
          }
        }
      }
    }
  }
}
