package dev.gptq.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checkpoints that keep all experts of a layer in one tensor. */
class SplitExpertsTest {
  private static final String EXPERTS = "model.layers.1.mlp.experts.";

  @TempDir private Path scratch;
  private Path apart;

  @BeforeEach
  void write() throws IOException {
    apart = RandomCheckpoint.write(scratch.resolve("apart"), TinyConfigs.json("qwen3-moe"), 5);
  }

  /** A copy in which layer 1 has its experts together. */
  private Path together(int experts) throws IOException {
    Path folder = scratch.resolve("together" + experts);
    try (Checkpoint from = Checkpoint.open(apart);
        CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      for (String name : from.names()) {
        if (!name.startsWith(EXPERTS)) {
          writer.add(from.require(name));
        }
      }
      add(writer, from, experts, "gate_up_proj", "gate_proj", "up_proj");
      add(writer, from, experts, "down_proj", "down_proj");
      writer.copyFile(apart.resolve("config.json"));
      writer.commit();
    }
    return folder;
  }

  private static void add(
      CheckpointWriter writer, Checkpoint from, int experts, String whole, String... layers)
      throws IOException {
    StoredTensor first = from.require(EXPERTS + "0." + layers[0] + ".weight");
    long rows = (long) layers.length * first.rows();
    byte[] all =
        new byte
            [Math.toIntExact(Math.multiplyExact((long) experts * layers.length, first.byteSize()))];
    MemorySegment to = MemorySegment.ofArray(all);
    long at = 0;
    for (int e = 0; e < experts; e++) {
      for (String layer : layers) {
        StoredTensor part = from.require(EXPERTS + e + "." + layer + ".weight");
        MemorySegment.copy(part.data(), 0, to, at, part.byteSize());
        at += part.byteSize();
      }
    }
    writer.add(EXPERTS + whole, StoredType.F32, new long[] {experts, rows, first.columns()}, to);
  }

  @Test
  void theExpertsAreSeenOneByOne() throws IOException {
    int experts = TinyConfigs.json("qwen3-moe").get("num_experts").asInt();
    try (Model one = Model.open(apart);
        Model other = Model.open(together(experts))) {
      assertThat(other.checkpoint().names()).isEqualTo(one.checkpoint().names());
      assertThat(other.warnings()).isEmpty();
      for (String name : one.checkpoint().names()) {
        StoredTensor expected = one.checkpoint().require(name);
        StoredTensor actual = other.checkpoint().require(name);
        assertThat(actual.shape()).as(name).isEqualTo(expected.shape());
        assertThat(actual.data().toArray(ValueLayout.JAVA_BYTE))
            .as(name)
            .isEqualTo(expected.data().toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }

  @Test
  void tooFewExpertsAreRefused() throws IOException {
    Path folder = together(1);
    assertThatThrownBy(() -> Model.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(EXPERTS + "gate_up_proj F32 [1, ")
        .hasMessageContaining("experts.1.");
  }
}
