package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.cuda.driver.CudaException;
import dev.gptq.cuda.driver.CudaUnavailableException;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.OutOfMemoryException;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;

/** How the backend uses its device, on one that runs no kernels. */
final class CudaBackendTest {
  private static final long MEBI = 1 << 20;

  private final EmulatedDriver driver = EmulatedDriver.withoutKernels(64 * MEBI);
  private final EmulatedDriver large = EmulatedDriver.withoutKernels(1024 * MEBI);

  private CudaBackend open() {
    return EmulatedProvider.backend(driver, BackendOptions.defaults());
  }

  @Test
  void closingGivesEverythingBack() {
    CudaBackend backend = open();
    TensorScope leaked = backend.newScope();
    leaked.zeros(DType.F32, 10, 10, Layout.ROW_MAJOR);
    leaked.child().upload(1f, 2f);
    backend.close();
    backend.close();
    assertThat(driver.outstanding()).isZero();
  }

  @Test
  void lanesGiveEverythingBackButWhatTheyShare() {
    CudaBackend backend = open();
    int before = driver.outstanding();
    Backend lane = backend.newLane();
    lane.newScope().zeros(DType.F32, 10, 10, Layout.ROW_MAJOR);
    assertThat(backend.memory().live()).isPositive();
    lane.close();
    assertThat(driver.outstanding()).isEqualTo(before);
    assertThat(backend.memory().live()).isZero();
    backend.close();
    assertThat(driver.outstanding()).isZero();
  }

  /** At each place where the device may have nothing more to give. */
  @Test
  void whatCannotBeOpenedWholeIsGivenBack() {
    int failures = 0;
    for (boolean opened = false; !opened; ) {
      driver.failAfter(failures);
      try (CudaBackend backend = open()) {
        opened = backend.lanes() > 0;
      } catch (CudaException e) {
        failures++;
      }
      assertThat(driver.outstanding()).isZero();
    }
    // A context, a stream, modules, and four buffers with an event each.
    assertThat(failures).isGreaterThan(10);
  }

  @Test
  void aLaneThatCannotBeOpenedWholeIsGivenBack() {
    try (CudaBackend backend = open()) {
      int before = driver.outstanding();
      int failures = 0;
      for (boolean opened = false; !opened; ) {
        driver.failAfter(failures);
        try (Backend lane = backend.newLane()) {
          opened = lane.lanes() > 0;
        } catch (CudaException e) {
          failures++;
        }
        assertThat(driver.outstanding()).isEqualTo(before);
      }
      // A context, a stream, a small buffer, four buffers with an event each.
      assertThat(failures).isEqualTo(11);
    }
    assertThat(driver.outstanding()).isZero();
  }

  @Test
  void aDeviceThatHasFailedIsLetGo() {
    CudaBackend backend = open();
    Backend lane = backend.newLane();
    backend.newScope().zeros(DType.F32, 10, 10, Layout.ROW_MAJOR);
    driver.fail();
    assertThatThrownBy(lane::close).isInstanceOf(CudaException.class);
    assertThatThrownBy(backend::close)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("the device has failed");
    assertThat(driver.contexts()).isZero();
  }

  @Test
  void optionsAreLookedAtBeforeTheDeviceIsTaken() {
    assertThatThrownBy(() -> EmulatedProvider.backend(driver, withActivations("f64")))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(driver.outstanding()).isZero();
  }

  @Test
  void numberOfLanesIsASetting() {
    try (CudaBackend backend =
        EmulatedProvider.backend(
            driver, new BackendOptions(1, 0, ImmutableMap.of(CudaBackend.LANES, "3")))) {
      assertThat(backend.lanes()).isEqualTo(3);
    }
    for (String wrong : new String[] {"0", "-1", "many"}) {
      assertThatThrownBy(() ->
              EmulatedProvider.backend(
                  driver, new BackendOptions(1, 0, ImmutableMap.of(CudaBackend.LANES, wrong))))
          .hasMessage("cuda.lanes must be a positive number but is '" + wrong + "'");
    }
  }

  @Test
  void outOfMemorySaysHowMuchWasAskedFor() {
    try (CudaBackend backend = open();
        TensorScope scope = backend.newScope()) {
      scope.allocate(DType.F32, 3 << 10, 4 << 10, Layout.ROW_MAJOR);
      assertThatThrownBy(() -> scope.allocate(DType.F32, 4 << 10, 4 << 10, Layout.ROW_MAJOR))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("64 MiB more")
          .hasMessageContaining("48 MiB of tensors are in use");
      // What was there before is unharmed, and there is room for less.
      scope.allocate(DType.F32, 1 << 10, 1 << 10, Layout.ROW_MAJOR);
      assertThat(backend.memory().live()).isEqualTo(52 * MEBI);
    }
  }

  @Test
  void blocksOfManyColumnsTakeOneLaunchEachAndOneForTheRest() {
    try (CudaBackend backend = open();
        TensorScope scope = backend.newScope()) {
      Tensor w = scope.columnMajor(DType.F32, 5, 300);
      Tensor u = scope.rowMajor(DType.F32, 300, 300);
      Tensor codes = scope.columnMajor(DType.U8, 5, 300);
      Tensor one = scope.columnMajor(DType.F32, 5, 1);
      Grid grid =
          new Grid(GridSpec.of(Scheme.ASYMMETRIC, 4), one, one, scope.rowMajor(DType.I32, 1, 300));
      backend.quantization().quantizeBlock(w, u, grid, codes);
      assertThat(driver.launched())
          .containsExactly(
              "quantizeBlock",
              "quantizeBlockRest",
              "quantizeBlock",
              "quantizeBlockRest",
              "quantizeBlock");
    }
  }

  /** More than all staging buffers hold, from and to memory that one or all threads may use. */
  @Test
  void largeTensorsComeBackAsTheyWere() {
    int rows = 7001;
    int columns = 10_007;
    byte[] bytes = new byte[rows * columns];
    new Random(1).nextBytes(bytes);
    try (CudaBackend backend = EmulatedProvider.backend(large, BackendOptions.defaults());
        TensorScope scope = backend.newScope();
        Arena confined = Arena.ofConfined()) {
      MemorySegment own = confined.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
      for (MemorySegment host : List.of(MemorySegment.ofArray(bytes), own)) {
        Tensor tensor = scope.upload(host, DType.U8, rows, columns, Layout.ROW_MAJOR);
        MemorySegment back = host.isNative() ? own.fill((byte) 0) : heap(bytes.length);
        tensor.copyTo(back);
        assertThat(back.mismatch(MemorySegment.ofArray(bytes))).isEqualTo(-1);
        Tensor view = tensor.columns(3, 10_000);
        byte[] part = new byte[rows * 9997];
        view.copyTo(MemorySegment.ofArray(part));
        for (int row : new int[] {0, 1, 3500, rows - 1}) {
          assertThat(Arrays.copyOfRange(part, row * 9997, (row + 1) * 9997))
              .isEqualTo(Arrays.copyOfRange(bytes, row * columns + 3, row * columns + 10_000));
        }
      }
    }
  }

  private static MemorySegment heap(int bytes) {
    return MemorySegment.ofArray(new byte[bytes]);
  }

  @Test
  void activationsAreChosenBySetting() {
    assertThat(CudaBackend.activationType(BackendOptions.defaults())).isEqualTo(DType.BF16);
    assertThat(CudaBackend.activationType(withActivations("f32"))).isEqualTo(DType.F32);
    assertThatThrownBy(() -> CudaBackend.activationType(withActivations("f64")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("cuda.activations must be bf16 or f32");
  }

  private static BackendOptions withActivations(String type) {
    return new BackendOptions(1, 0, ImmutableMap.of(CudaBackend.ACTIVATIONS, type));
  }

  @Test
  void missingDeviceNamesTheRemedy() {
    assertThatThrownBy(() -> CudaDevice.find(driver, 1))
        .isInstanceOf(CudaUnavailableException.class)
        .hasMessageContaining("there is no GPU 1: the NVIDIA driver sees 1")
        .hasMessageContaining("--device");
  }

  /** Wherever this runs, the probe answers; where it cannot run it says why and what to do. */
  @Test
  void providerIsFoundAndProbesWithoutThrowing() {
    BackendProvider provider =
        ServiceLoader.load(BackendProvider.class).stream()
            .map(ServiceLoader.Provider::get)
            .filter(p -> p.name().equals("cuda"))
            .findFirst()
            .orElseThrow();
    if (provider.probe(BackendOptions.defaults()) instanceof Availability.Unavailable why) {
      assertThat(why.reason()).isNotBlank();
      assertThat(why.remedy()).isNotBlank();
    }
  }
}
