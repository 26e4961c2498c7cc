package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.SharedFiles;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PackedHeadTest {
  @TempDir private Path folder;
  private Backend backend;

  @BeforeEach
  void open() {
    backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
  }

  @AfterEach
  void close() {
    assertThat(backend.memory().live()).isZero();
    backend.close();
  }

  private static float[] last(Decoder decoder) {
    try (Decoder.Sequence sequence = decoder.newSequence(8)) {
      sequence.append(3, 1, 4, 1, 5);
      return sequence.append(9);
    }
  }

  private Model model(String architecture) throws IOException {
    return Model.open(
        RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json(architecture), 5));
  }

  private static double distance(float[] from, float[] to) {
    double error = 0;
    double power = 0;
    for (int i = 0; i < from.length; i++) {
      error += Math.pow(to[i] - from[i], 2);
      power += Math.pow(from[i], 2);
    }
    return error / power;
  }

  /** Plain, with a soft cap on logits, with logits that are scaled, and with a bias. */
  @ParameterizedTest
  @ValueSource(strings = {"llama", "gemma2", "cohere", "gptj"})
  void eightBitsMoveLogitsByLittle(String architecture) throws IOException {
    try (Model model = model(architecture);
        Decoder decoder = model.load(backend)) {
      float[] dense = last(decoder);
      decoder.roundHead(8);
      float[] rounded = last(decoder);
      assertThat(distance(dense, rounded)).isPositive().isLessThan(1e-4);
      decoder.roundHead(3);
      assertThat(last(decoder)).isNotEqualTo(rounded);
    }
  }

  /** Codes of ones: every logit is the sum of what the head reads. */
  @Test
  void aPackedMatrixTakesThePlaceOfTheDenseOne() throws IOException {
    try (Model model = model("llama");
        Decoder decoder = model.load(backend)) {
      int vocabulary = model.spec().vocabulary();
      int hidden = model.spec().hidden();
      byte[] codes = new byte[vocabulary * hidden];
      Arrays.fill(codes, (byte) 129);
      float[] scales = new float[vocabulary];
      for (int i = 0; i < vocabulary; i++) {
        scales[i] = i;
      }
      PackedMatrix ones =
          Packer.pack(
              Scheme.SYMMETRIC,
              8,
              vocabulary,
              new int[hidden],
              codes,
              MemorySegment.ofArray(scales),
              Optional.empty());
      decoder.packHead(ones);
      float[] logits = last(decoder);
      assertThat(logits[1]).isNotZero();
      for (int i = 0; i < vocabulary; i++) {
        assertThat(logits[i]).isCloseTo(i * logits[1], within(1e-4f * vocabulary));
      }
    }
  }

  /** Only sequences take it: whatever is measured reads the numbers that the codes stand for. */
  @Test
  void codesOfAGgufFileAreMultipliedAsSuch() throws IOException {
    float[] dense;
    long memory;
    Path file =
        SharedFiles.bundled("gptq-models/src/test/resources/gguf/llama-gqa-rope3-Q4_0.gguf");
    try (Model model = Model.open(file)) {
      try (Decoder decoder = model.load(backend)) {
        memory = backend.memory().live();
        dense = last(decoder);
      }
      try (Decoder decoder = model.loadToGenerate(backend)) {
        assertThat(backend.memory().live()).isGreaterThan(memory);
        assertThat(distance(dense, last(decoder))).isLessThan(1e-3);
      }
    }
  }
}
