package dev.gptq.bench.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class SyntheticCheckpointTest {
  private static final Path TINY = Path.of(System.getProperty("gptq.root"), "examples", "tiny");
  private static final LlamaShape LLAMA = llama(WeightType.BFLOAT16);

  private static final QwenMoeShape MOE = new QwenMoeShape(64, 1, 4, 2, 32, 6, 2, 48, 4096, 128);

  @TempDir private Path folder;

  private static LlamaShape llama(WeightType type) {
    return new LlamaShape(64, 2, 4, 2, 96, 4096, 128, 10_000, type);
  }

  @Test
  void shapesHaveThePublishedNumbersOfWeights() {
    assertThat(weights(ModelShape.named("llama-2-7b"))).isEqualTo(6_738_415_616L);
    assertThat(weights(ModelShape.named("llama-3-8b"))).isEqualTo(8_030_261_248L);
    assertThat(weights(ModelShape.named("llama-3-70b"))).isEqualTo(70_553_706_496L);
    assertThat(weights(ModelShape.named("llama-3-405b"))).isEqualTo(405_853_388_800L);
    assertThat(weights(ModelShape.named("qwen3-30b-a3b"))).isEqualTo(30_532_122_624L);
    // 12·d² weights and 13·d biases and norms a block, embedding, 2048 + 2 positions, last norm.
    long d = 12288;
    assertThat(weights(ModelShape.named("opt-175b-block")))
        .isEqualTo(12 * d * d + 13 * d + (50_272 + 2050) * d + 2 * d);
    assertThat(weights(ModelShape.named("opt-175b-block:3")))
        .isEqualTo(weights(ModelShape.named("opt-175b-block")) + 2 * (12 * d * d + 13 * d));
    assertThat(ModelShape.named("llama-2-7b:4").config().get("num_hidden_layers").asInt())
        .isEqualTo(4);
    assertThatThrownBy(() -> ModelShape.named("gpt-5")).hasMessageContaining("llama-2-7b");
  }

  private static long weights(ModelShape shape) {
    return shape.tensors().stream().mapToLong(TensorShape::elements).sum();
  }

  @Test
  void modelsCanBeLoadedAndRun() throws IOException {
    for (ModelShape shape : List.of(LLAMA, MOE, new OptShape(64, 1, 4, 128, 4096, 128))) {
      Path written = folder.resolve(shape.getClass().getSimpleName());
      assertThat(SyntheticCheckpoint.write(shape, written, TINY)).isEqualTo(2 * weights(shape));
      try (Backend backend = Backends.open("reference", BackendOptions.defaults(), refused -> {});
          Model model = Model.open(written);
          Tokenizer tokenizer = model.tokenizer();
          Decoder decoder = model.load(backend);
          Outputs outputs =
              decoder.run(List.of(tokenizer.encode("The captain looked at the sea.")))) {
        assertThat(model.checkpoint().names()).hasSize(shape.tensors().size());
        for (float loss : outputs.losses()) {
          assertThat(loss).isFinite();
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(WeightType.class)
  void elementsAreNormallyDistributed(WeightType type) throws IOException {
    SyntheticCheckpoint.write(llama(type), folder, TINY);
    try (Model model = Model.open(folder)) {
      StoredTensor weight = model.checkpoint().require("lm_head.weight");
      assertThat(weight.type()).isEqualTo(StoredType.valueOf(type.dtype()));
      double sum = 0;
      double squares = 0;
      for (long i = 0; i < weight.elements(); i++) {
        float value = type.value(weight.data().getAtIndex(ValueLayout.JAVA_SHORT, i));
        sum += value;
        squares += value * value;
      }
      assertThat(sum / weight.elements()).isCloseTo(0, within(2e-4));
      assertThat(Math.sqrt(squares / weight.elements())).isCloseTo(0.02, within(2e-4));
    }
  }

  @Test
  void sameShapeGivesTheSameBytesAndNothingIsReplaced() throws IOException {
    Path first = folder.resolve("first");
    Path second = folder.resolve("second");
    SyntheticCheckpoint.write(LLAMA, first, TINY);
    SyntheticCheckpoint.write(LLAMA, second, TINY);
    Path file = Path.of("model-00001-of-00001.safetensors");
    assertThat(Files.mismatch(first.resolve(file), second.resolve(file))).isEqualTo(-1);
    assertThatThrownBy(() -> SyntheticCheckpoint.write(LLAMA, first, TINY))
        .isInstanceOf(FileAlreadyExistsException.class);
  }
}
