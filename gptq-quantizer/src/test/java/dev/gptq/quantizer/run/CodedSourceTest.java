package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A source in 8-bit numbers is quantized as the numbers that they stand for. */
final class CodedSourceTest {
  /** A few modules of every kind are enough. */
  private static final QuantizationSettings SETTINGS =
      new QuantizationSettings(
          QuantizationSettings.Method.GPTQ,
          GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), GptqOptions.PER_ROW),
          Target.PLAIN,
          Curvature.INPUTS,
          true,
          Optional.of(Pattern.compile("layers.1.(self_attn|mlp.experts.[01])")),
          Optional.empty());

  @TempDir private Path folder;

  @Test
  void eightBitSourcesGiveWhatTheirNumbersGive() throws IOException {
    Path coded = SharedFiles.architecture("deepseek-v3-fp8");
    Path plain = folder.resolve("plain");
    try (Model model = Model.open(coded);
        CheckpointWriter writer = CheckpointWriter.create(plain, WriterOptions.DEFAULT)) {
      for (String name : model.checkpoint().names()) {
        writer.add(model.checkpoint().require(name));
      }
      writer.copyFile(coded.resolve("config.json"));
      writer.commit();
    }
    Path config = plain.resolve("config.json");
    ObjectNode json = (ObjectNode) JsonMapper.shared().readTree(Files.readAllBytes(config));
    assertThat(json.remove("quantization_config")).isNotNull();
    Files.write(config, JsonMapper.shared().writeValueAsBytes(json));

    try (Checkpoint one = quantized(coded, folder.resolve("one"));
        Checkpoint other = quantized(plain, folder.resolve("other"))) {
      assertThat(one.names()).containsExactlyInAnyOrderElementsOf(other.names());
      assertThat(one.names()).anyMatch(name -> name.endsWith(".weight_packed"));
      for (String name : one.names()) {
        assertThat(one.require(name).data().mismatch(other.require(name).data()))
            .as(name)
            .isEqualTo(-1);
      }
    }
  }

  private static Checkpoint quantized(Path model, Path output) throws IOException {
    int[] stream = new SplittableRandom(9).ints(2 * 16, 3, 320).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 16, OptionalInt.empty());
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization.of(model)
          .settings(SETTINGS)
          .windows(windows)
          .on(backend)
          .to(output)
          .run(QuantizationListener.NONE);
    }
    return Checkpoint.open(output);
  }
}
