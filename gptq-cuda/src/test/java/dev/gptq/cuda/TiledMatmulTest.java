package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.Scheme;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The tensor-core layout of weights, against sums in float64. */
final class TiledMatmulTest {
  @BeforeAll
  static void needsCompiler() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
  }

  @ParameterizedTest
  @CsvSource({
    "9, ASYMMETRIC, 2, 48, 640, 128, 1, 0, stripMatmul_2_2_1",
    "9, ASYMMETRIC, 2, 352, 320, 64, 7, 0, stripMatmul_2_6_1",
    "9, HALF_OFFSET, 2, 880, 192, 192, 16, 0, stripMatmul_2_14_2",
    "8, ASYMMETRIC, 2, 64, 320, 64, 66, 1, unpackTiles_2",
    "9, HALF_OFFSET, 3, 48, 640, 128, 1, 0, stripMatmul_3_2_1",
    "9, ASYMMETRIC, 3, 464, 320, 64, 8, 1, stripMatmul_3_8_1",
    "9, SYMMETRIC, 3, 800, 192, 192, 15, 0, stripMatmul_3_14_2",
    "8, ASYMMETRIC, 3, 64, 320, 64, 66, 1, unpackTiles_3",
    "9, SYMMETRIC, 5, 48, 640, 128, 1, 0, stripMatmul_5_2_1",
    "9, ASYMMETRIC, 5, 480, 320, 64, 9, 0, stripMatmul_5_8_2",
    "9, ASYMMETRIC, 5, 880, 192, 192, 14, 0, stripMatmul_5_14_2",
    "8, ASYMMETRIC, 5, 64, 320, 64, 66, 1, unpackTiles_5",
    "9, ASYMMETRIC, 6, 48, 640, 128, 1, 0, stripMatmul_6_2_1",
    "9, ASYMMETRIC, 6, 352, 320, 64, 10, 1, stripMatmul_6_6_2",
    "9, HALF_OFFSET, 6, 800, 192, 192, 13, 0, stripMatmul_6_14_2",
    "8, ASYMMETRIC, 6, 64, 320, 64, 66, 1, unpackTiles_6",
    "9, HALF_OFFSET, 7, 48, 640, 128, 1, 0, stripMatmul_7_2_1",
    "9, ASYMMETRIC, 7, 464, 320, 64, 11, 0, stripMatmul_7_8_2",
    "9, SYMMETRIC, 7, 880, 192, 192, 12, 0, stripMatmul_7_14_2",
    "8, ASYMMETRIC, 7, 64, 320, 64, 66, 1, unpackTiles_7",
    "9, SYMMETRIC, 8, 48, 640, 128, 1, 0, stripMatmul_8_2_1",
    "9, ASYMMETRIC, 8, 480, 320, 64, 12, 1, stripMatmul_8_8_2",
    "9, ASYMMETRIC, 8, 800, 192, 192, 11, 0, stripMatmul_8_14_2",
    "8, ASYMMETRIC, 8, 64, 320, 64, 66, 1, unpackTiles_8",
    "9, ASYMMETRIC, 4, 16, 64, 64, 1, 0, stripMatmul_4_2_1",
    "9, ASYMMETRIC, 4, 48, 640, 128, 1, 0, stripMatmul_4_2_1",
    "9, SYMMETRIC, 4, 160, 256, 256, 3, 0, stripMatmul_4_4_1",
    "9, HALF_OFFSET, 4, 32, 128, 64, 8, 0, stripMatmul_4_2_1",
    "9, HALF_OFFSET, 4, 352, 320, 64, 7, 1, stripMatmul_4_6_1",
    "9, ASYMMETRIC, 4, 480, 256, 64, 5, 0, stripMatmul_4_8_1",
    "9, ASYMMETRIC, 4, 160, 1152, 128, 9, 0, stripMatmul_4_4_2",
    "9, SYMMETRIC, 4, 2064, 128, 128, 16, 0, stripMatmul_4_12_2",
    "9, ASYMMETRIC, 4, 880, 192, 192, 11, 0, stripMatmul_4_14_2",
    "9, ASYMMETRIC, 4, 32, 192, 64, 17, 1, stripMatmul_4_2_2 stripMatmul_4_2_1",
    "9, ASYMMETRIC, 4, 48, 5056, 64, 16, 0, pairMatmul_4_4_2",
    "9, HALF_OFFSET, 4, 112, 10048, 64, 8, 0, pairMatmul_4_4_1",
    "9, HALF_OFFSET, 4, 272, 128, 128, 40, 0, groupMatmul_64",
    "9, ASYMMETRIC, 4, 64, 320, 64, 66, 1, groupMatmul_64",
    "9, SYMMETRIC, 4, 272, 192, 64, 100, 1, groupMatmul_128",
    "9, ASYMMETRIC, 4, 272, 704, 64, 130, 0, groupMatmul_256",
    "9, ASYMMETRIC, 4, 144, 1088, 64, 300, 0, groupMatmul_256",
    "9, SYMMETRIC, 4, 528, 1088, 64, 200, 0, groupMatmul_256 groupMatmul_64",
    "8, ASYMMETRIC, 4, 48, 5056, 64, 16, 0, stripMatmul_4_2_2",
    "8, HALF_OFFSET, 4, 48, 192, 192, 65, 0, unpackTiles_4",
    "8, ASYMMETRIC, 4, 64, 320, 64, 66, 1, unpackTiles_4"
  })
  void agreesWithItsDefinition(
      int capability,
      Scheme scheme,
      int bits,
      int out,
      int in,
      int groupSize,
      int tokens,
      int offset,
      String kernels) {
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow(), capability);
    try (Backend backend = EmulatedProvider.backend(driver, BackendOptions.defaults())) {
      new TiledProduct(scheme, bits, out, in, groupSize, tokens, offset).check(backend);
      assertThat(driver.launched()).contains(kernels.split(" "));
    }
  }
}
