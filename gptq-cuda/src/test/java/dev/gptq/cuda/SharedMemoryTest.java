package dev.gptq.cuda;

import static dev.gptq.tensor.DType.BF16;
import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.I32;
import static dev.gptq.tensor.DType.U8;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What launches ask for at their largest, on devices that run nothing but refuse more shared memory
 * than a block of that compute capability can have.
 */
final class SharedMemoryTest {
  private static final long MEMORY = 256L << 20;

  @ParameterizedTest
  @CsvSource({"8, 0", "8, 9", "9, 0", "10, 0", "12, 0"})
  void isNeverMoreThanABlockCanHave(int major, int minor) {
    EmulatedDriver driver = EmulatedDriver.withoutKernels(MEMORY, major).withMinor(minor);
    for (String activations : new String[] {"bf16", "f32"}) {
      BackendOptions options =
          new BackendOptions(1, 0, ImmutableMap.of(CudaBackend.ACTIVATIONS, activations));
      try (Backend backend = EmulatedProvider.backend(driver, options)) {
        for (int head : new int[] {64, 128, 252, 256, 508, 512}) {
          attention(backend, head);
        }
        quantization(backend);
        for (int groups : new int[] {1, 64, 110, 150, 160, 200, 240, 384}) {
          refit(backend, groups);
        }
        if (backend.activationType() == BF16) {
          products(backend);
        }
      }
    }
    assertThat(driver.launched())
        .contains("attentionMma_256", "attention_bf16_512", "attention_f32_256", "quantizeBlock")
        .contains("beamBlock", "beamBlock_8", "descendBlock", "refitScales")
        .contains("stripMatmul_3_2_1", "stripMatmul_3_14_2", "stripMatmul_8_14_2");
    if (major == 9) {
      assertThat(driver.launched())
          .contains("groupMatmul_64", "groupMatmul_128", "groupMatmul_256");
      assertThat(driver.launched()).contains("pairMatmul_8_4_1", "pairMatmul_8_4_2");
    }
    assertThat(driver.launched().contains("wideSystem_128")).isEqualTo(major == 9);
    assertThat(driver.launched().contains("refitSystem_128"))
        .isEqualTo(minor == 0 && major < 12 && major != 9);
  }

  private static void attention(Backend backend, int head) {
    DType type = backend.activationType();
    AttentionSpec spec = new AttentionSpec(1, 1, head, 1, 0, 0, false);
    try (TensorScope scope = backend.newScope()) {
      Tensor x = scope.rowMajor(type, 128, head);
      backend.transformer().attention(x, x, x, spec, 1, scope.rowMajor(type, 128, head));
    }
  }

  /** The widest block that a kernel takes at once, and the most paths of a beam. */
  private static void quantization(Backend backend) {
    int rows = 64;
    int columns = 128;
    try (TensorScope scope = backend.newScope()) {
      Tensor w = scope.columnMajor(F32, rows, columns);
      Tensor u = scope.rowMajor(F32, columns, columns);
      Tensor codes = scope.columnMajor(U8, rows, columns);
      Tensor one = scope.columnMajor(F32, rows, 1);
      Tensor groupOf = scope.rowMajor(I32, 1, columns);
      Grid grid = new Grid(GridSpec.of(Scheme.ASYMMETRIC, 4), one, one, groupOf);
      backend.quantization().quantizeBlock(w, u, grid, codes);
      backend.quantization().descendBlock(w, u, grid, codes, scope.columnMajor(F32, rows, columns));
      for (int paths : new int[] {8, 32}) {
        backend
            .quantization()
            .beamBlock(
                scope.columnMajor(F32, rows * paths, columns),
                scope.columnMajor(F32, rows, paths),
                u,
                grid,
                scope.columnMajor(U8, rows * paths, columns),
                scope.rowMajor(I32, 1, rows * paths));
      }
      int run = 128;
      Tensor wide = scope.columnMajor(F32, rows, 2 * run);
      backend
          .quantization()
          .refitSystem(
              wide,
              wide,
              scope.rowMajor(F32, 2 * run, 2 * run),
              scope.columnMajor(F32, rows, 3),
              scope.columnMajor(F32, rows, 2));
    }
  }

  private static void refit(Backend backend, int groups) {
    int rows = 16;
    try (TensorScope scope = backend.newScope()) {
      backend
          .quantization()
          .refitScales(
              scope.columnMajor(F32, rows, groups * (groups + 1) / 2),
              scope.columnMajor(F32, rows, groups),
              GridSpec.of(Scheme.ASYMMETRIC, 4),
              scope.columnMajor(F32, rows, groups),
              scope.columnMajor(F32, rows, 1));
    }
  }

  /** Every strip of the widest narrow codes and of the widest, pairs of blocks, many rows. */
  private static void products(Backend backend) {
    for (int bits : new int[] {3, 8}) {
      for (int outputs : new int[] {128, 256, 384, 512, 768, 896}) {
        for (int rows : new int[] {1, 16}) {
          product(backend, bits, rows, outputs, 64);
        }
      }
      product(backend, bits, 16, 64, 5056);
      product(backend, bits, 8, 64, 10_048);
    }
    for (int rows : new int[] {64, 128, 256}) {
      product(backend, 4, rows, 1024, 128);
    }
  }

  private static void product(Backend backend, int bits, int rows, int outputs, int inputs) {
    DType type = backend.activationType();
    int groups = inputs / 64;
    PackedMatrix w =
        new PackedMatrix(
            Scheme.SYMMETRIC,
            bits,
            outputs,
            inputs,
            groups,
            MemorySegment.ofArray(new byte[4 * BitStream.words(inputs, bits) * outputs]),
            MemorySegment.ofArray(new byte[4 * groups * outputs]),
            Optional.empty(),
            Optional.empty());
    try (TensorScope scope = backend.newScope()) {
      backend
          .packed()
          .matmul(
              scope.rowMajor(type, rows, inputs),
              backend.packed().prepare(w, scope),
              scope.rowMajor(type, rows, outputs));
    }
  }
}
