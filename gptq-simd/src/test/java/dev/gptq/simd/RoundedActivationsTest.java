package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendUnavailableException;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** When activations are rounded to 8 bits; how, says {@link SimdRoundedMatmulConformanceTest}. */
final class RoundedActivationsTest {
  private final Random random = new Random(7);

  @Test
  void autoRoundsFewRowsOfShortVectorsOnly() {
    PackedMatrix w = weights(4);
    for (int tokens : new int[] {1, 7, 8, 20}) {
      float[] x = normal(tokens, 128);
      float[] rounded = product("int8", w, x);
      float[] whole = product("float32", w, x);
      assertThat(rounded).isNotEqualTo(whole);
      assertThat(product("auto", w, x)).isEqualTo(tokens < 8 && Lanes.COUNT < 16 ? rounded : whole);
    }
  }

  @Test
  void generationRoundsManyRowsWhereKernelsAreNotJavas() {
    assertThat(ActivationMode.GENERATION.rounds(true, true)).isTrue();
    assertThat(ActivationMode.AUTO.rounds(true, true)).isFalse();
    for (boolean many : new boolean[] {false, true}) {
      assertThat(ActivationMode.GENERATION.rounds(many, false))
          .isEqualTo(ActivationMode.AUTO.rounds(many, false));
    }
    assertThat(ActivationMode.of(options("generation"))).isEqualTo(ActivationMode.GENERATION);
    BackendOptions generate = BackendOptions.defaults().with(BackendOptions.Purpose.GENERATE);
    assertThat(ActivationMode.of(generate)).isEqualTo(ActivationMode.GENERATION);
    assertThat(ActivationMode.of(BackendOptions.defaults())).isEqualTo(ActivationMode.AUTO);
    assertThat(ActivationMode.of(options("int8").with(BackendOptions.Purpose.GENERATE)))
        .isEqualTo(ActivationMode.INT8);
  }

  @Test
  void otherWidthsAreNeverRounded() {
    PackedMatrix w = weights(3);
    float[] x = normal(2, 128);
    assertThat(product("int8", w, x)).isEqualTo(product("float32", w, x));
  }

  @Test
  void anUnknownSettingIsRefusedWithTheKnownOnes() {
    BackendOptions options = options("int4");
    assertThat(new SimdBackendProvider().probe(options))
        .isInstanceOfSatisfying(
            Availability.Unavailable.class,
            why -> {
              assertThat(why.reason()).contains("simd.activations", "int4");
              assertThat(why.remedy()).contains("float32", "int8", "auto");
            });
    assertThatThrownBy(() -> new SimdBackendProvider().open(options))
        .isInstanceOf(BackendUnavailableException.class);
  }

  private static float[] product(String activations, PackedMatrix w, float[] x) {
    int tokens = x.length / w.columns();
    try (Backend backend = new SimdBackendProvider().open(options(activations));
        TensorScope scope = backend.newScope()) {
      Tensor rows =
          scope.upload(MemorySegment.ofArray(x), DType.F32, tokens, w.columns(), Layout.ROW_MAJOR);
      Tensor y = scope.rowMajor(DType.F32, tokens, w.rows());
      backend.packed().matmul(rows, backend.packed().prepare(w, scope), y);
      return HostCopies.floats(y);
    }
  }

  private static BackendOptions options(String activations) {
    return new BackendOptions(
        3, 0, ImmutableMap.of("simd.activations", activations, "simd.kernels", "java"));
  }

  private float[] normal(int tokens, int columns) {
    float[] x = new float[tokens * columns];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  /** 40 outputs of 128 inputs in one group. */
  private PackedMatrix weights(int bits) {
    byte[] codes = new byte[40 * 128];
    float[] scales = new float[40];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(1 << bits);
    }
    for (int i = 0; i < scales.length; i++) {
      scales[i] = 0.01f + 0.01f * random.nextFloat();
    }
    return Packer.pack(
        Scheme.SYMMETRIC,
        bits,
        40,
        new int[128],
        codes,
        MemorySegment.ofArray(scales),
        Optional.empty());
  }
}
