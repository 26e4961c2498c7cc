package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Packed layers that share an input are one product, which changes no bit of what they compute. */
final class JoinedLinearsTest {
  @TempDir private Path folder;

  private static PackedMatrix random(LinearSpec linear, Random random) {
    byte[] codes = new byte[linear.outputs() * linear.inputs()];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(16);
    }
    float[] scales = new float[linear.outputs()];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (1 + random.nextFloat()) / 128;
    }
    return Packer.pack(
        Scheme.SYMMETRIC,
        4,
        linear.outputs(),
        new int[linear.inputs()],
        codes,
        MemorySegment.ofArray(scales),
        Optional.empty());
  }

  /** The same matrix, of which it is said at length that all columns are in one group. */
  private static PackedMatrix atLength(PackedMatrix m) {
    return new PackedMatrix(
        m.scheme(),
        m.bits(),
        m.rows(),
        m.columns(),
        m.groups(),
        m.words(),
        m.scales(),
        m.zeros(),
        Optional.of(new int[m.columns()]));
  }

  /** Every second layer at length, so that no two neighbours fit, or none. */
  private static float[] logits(Backend backend, Model model, boolean apart) {
    Random random = new Random(4);
    ImmutableMap.Builder<String, PackedMatrix> packed = ImmutableMap.builder();
    int count = 0;
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        PackedMatrix matrix = random(linear, random);
        packed.put(block.nameOf(linear), apart && count % 2 == 1 ? atLength(matrix) : matrix);
        count++;
      }
    }
    WeightSource source = model.weights(backend, packed.buildOrThrow());
    try (Decoder decoder = new Decoder(backend, model.spec(), source);
        Decoder.Sequence sequence = decoder.newSequence(9);
        TensorScope scope = backend.newScope()) {
      float[] prompt = sequence.append(3, 1, 4, 1, 5, 9);
      float[] next = sequence.append(2);
      List<int[]> windows = List.of(new int[] {3, 1, 4, 1, 5, 9, 2});
      float[] window = HostCopies.floats(decoder.logits(windows, scope));
      float[] all = Arrays.copyOf(prompt, 2 * prompt.length + window.length);
      System.arraycopy(next, 0, all, prompt.length, next.length);
      System.arraycopy(window, 0, all, 2 * prompt.length, window.length);
      return all;
    }
  }

  /** Three layers and two, biases of some, experts, and heads that are normalised. */
  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "qwen3", "mixtral", "phi3"})
  void bitsStayTheSame(String architecture) throws IOException {
    for (String name : List.of("reference", "simd")) {
      try (Model model =
              Model.open(
                  RandomCheckpoint.write(folder.resolve(name), TinyConfigs.json(architecture), 5));
          Backend backend = Backends.open(name, BackendOptions.defaults(), refused -> {})) {
        assertThat(logits(backend, model, false)).as(name).isEqualTo(logits(backend, model, true));
        assertThat(backend.memory().live()).isZero();
      }
    }
  }
}
