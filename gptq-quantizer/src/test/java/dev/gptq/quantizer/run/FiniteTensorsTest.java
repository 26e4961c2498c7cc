package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class FiniteTensorsTest {
  private static final int MANY = 700_000;

  @TempDir private Path folder;

  private static StoredTensor tensor(StoredType type, MemorySegment data, long elements) {
    return new StoredTensor("t", type, ImmutableList.of(elements), Path.of("file"), data);
  }

  /** The largest finite number of each type, infinities and both kinds of NaN, in all pieces. */
  @Test
  void countsNanAndInfinities() {
    float[] floats = new float[MANY];
    floats[0] = -Float.MAX_VALUE;
    assertThat(FiniteTensors.nonFinite(tensor(StoredType.F32, MemorySegment.ofArray(floats), MANY)))
        .isZero();
    floats[1] = Float.NaN;
    floats[MANY / 2] = Float.NEGATIVE_INFINITY;
    floats[MANY - 1] = Float.intBitsToFloat(0x7F80_0001);
    assertThat(FiniteTensors.nonFinite(tensor(StoredType.F32, MemorySegment.ofArray(floats), MANY)))
        .isEqualTo(3);
    short[] shorts = {(short) 0x7BFF, (short) 0xFBFF, 0x7C00, (short) 0xFC01, 0x7E00};
    assertThat(FiniteTensors.nonFinite(tensor(StoredType.F16, MemorySegment.ofArray(shorts), 5)))
        .isEqualTo(3);
    short[] brain = {0x7F7F, (short) 0xFF7F, 0x7F80, (short) 0xFFC0, 0x7BFF, 0x7C00};
    assertThat(FiniteTensors.nonFinite(tensor(StoredType.BF16, MemorySegment.ofArray(brain), 6)))
        .isEqualTo(2);
  }

  /** A copy of a model, one number of a tensor of which is infinite. */
  private Path damaged(String name) throws IOException {
    Path whole = RandomCheckpoint.write(folder.resolve("whole"), TinyConfigs.json("llama"), 11);
    Path damaged = folder.resolve("damaged");
    try (Checkpoint source = Checkpoint.open(whole);
        CheckpointWriter writer = CheckpointWriter.create(damaged, WriterOptions.DEFAULT)) {
      for (String each : source.names()) {
        StoredTensor stored = source.require(each);
        float[] values = stored.data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        if (each.equals(name)) {
          values[values.length - 1] = Float.POSITIVE_INFINITY;
        }
        long[] shape = stored.shape().stream().mapToLong(Long::longValue).toArray();
        writer.add(each, stored.type(), shape, MemorySegment.ofArray(values));
      }
      writer.copyFile(whole.resolve("config.json"));
      writer.commit();
    }
    return damaged;
  }

  private Quantization rounding(Path model) {
    return Quantization.of(model)
        .settings(
            QuantizationSettings.of(
                QuantizationSettings.Method.RTN,
                GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32)))
        .to(folder.resolve("out"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.norm.weight",
        "model.embed_tokens.weight",
        "model.layers.1.post_attention_layernorm.weight"
      })
  void whatIsNotQuantizedIsLookedAtBeforeTheWork(String name) throws IOException {
    Path model = damaged(name);
    assertThatThrownBy(() -> rounding(model).plan())
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("model.safetensors: tensor " + name + " has 1 NaN or infinite");
  }

  /** It is looked at when its turn comes. */
  @Test
  void whatIsQuantizedIsNotReadTwice() throws IOException {
    Path model = damaged("model.layers.1.mlp.up_proj.weight");
    assertThatCode(() -> rounding(model).plan().close()).doesNotThrowAnyException();
  }
}
