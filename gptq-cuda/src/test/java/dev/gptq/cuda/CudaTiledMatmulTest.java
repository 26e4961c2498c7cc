package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.Scheme;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products with tiles of every width on a GPU, by each kernel for few rows. */
final class CudaTiledMatmulTest {
  private static final int[] OUTPUTS_OF_STRIPS = {48, 6400, 12_304, 16_880, 25_344, 29_536};

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
  void agreesWithItsDefinition(int bits) {
    CudaBackendProvider provider = new CudaBackendProvider();
    boolean required = "cuda".equals(System.getProperty("gptq.test.require"));
    boolean available = provider.probe(BackendOptions.defaults()) instanceof Availability.Available;
    assertThat(available || !required).isTrue();
    Assumptions.assumeTrue(available, "no GPU");
    try (Backend backend = provider.open(BackendOptions.defaults())) {
      for (int out : OUTPUTS_OF_STRIPS) {
        new TiledProduct(Scheme.ASYMMETRIC, bits, out, 256, 64, 3, 0).check(backend);
        new TiledProduct(Scheme.SYMMETRIC, bits, out, 192, 64, 9, 1).check(backend);
      }
      // By pairs of blocks.
      new TiledProduct(Scheme.HALF_OFFSET, bits, 1024, 10_304, 64, 8, 0).check(backend);
      new TiledProduct(Scheme.ASYMMETRIC, bits, 1040, 5056, 64, 16, 0).check(backend);
      // Several kernels, unpacking.
      new TiledProduct(Scheme.ASYMMETRIC, bits, 1040, 1024, 128, 61, 0).check(backend);
      new TiledProduct(Scheme.ASYMMETRIC, bits, 1040, 1024, 128, 70, 0).check(backend);
    }
  }
}
