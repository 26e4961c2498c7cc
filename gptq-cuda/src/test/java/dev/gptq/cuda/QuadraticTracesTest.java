package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.BackendOptions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Traces by many blocks of H and by one, on the emulated device. */
final class QuadraticTracesTest {
  private static final int ROWS = 5;
  private static final int COLUMNS = 200;

  private final Random random = new Random(20261130);

  private float[] numbers(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static double trace(float[] a, float[] h) {
    double sum = 0;
    for (int r = 0; r < ROWS; r++) {
      for (int i = 0; i < COLUMNS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
          sum += (double) a[r * COLUMNS + i] * h[i * COLUMNS + j] * a[r * COLUMNS + j];
        }
      }
    }
    return sum;
  }

  @Test
  void blocksAddUp() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    float[] a = numbers(ROWS * COLUMNS);
    float[] h = numbers(COLUMNS * COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
      for (int j = 0; j < i; j++) {
        h[j * COLUMNS + i] = h[i * COLUMNS + j];
      }
    }
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    try (CudaScope scope = new CudaScope(context)) {
      Tensor left =
          scope.upload(MemorySegment.ofArray(a), DType.F32, ROWS, COLUMNS, Layout.ROW_MAJOR);
      Tensor square =
          scope.upload(MemorySegment.ofArray(h), DType.F32, COLUMNS, COLUMNS, Layout.ROW_MAJOR);
      for (long work : new long[] {1, QuadraticTraces.WORK}) {
        QuadraticTraces traces = new QuadraticTraces(context, new Sums(context), work);
        assertThat(traces.width(ROWS, COLUMNS)).isEqualTo(work == 1 ? 64 : COLUMNS);
        Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
        traces.add(context.tensor(left), context.tensor(square), context.tensor(total));
        assertThat(HostCopies.scalar(total)).isCloseTo(trace(a, h), within(1e-2));
      }
    }
  }

  /** The way of large matrices, with a last block that is narrower. */
  @Test
  void halvesAddUp() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    float[] a = numbers(ROWS * COLUMNS);
    float[] h = numbers(COLUMNS * COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
      for (int j = 0; j < i; j++) {
        h[j * COLUMNS + i] = h[i * COLUMNS + j];
      }
    }
    float[] columns = new float[a.length];
    for (int i = 0; i < a.length; i++) {
      columns[i % COLUMNS * ROWS + i / COLUMNS] = a[i];
    }
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    try (CudaScope scope = new CudaScope(context)) {
      Tensor left =
          scope.upload(
              MemorySegment.ofArray(columns), DType.F32, ROWS, COLUMNS, Layout.COLUMN_MAJOR);
      Tensor square =
          scope.upload(MemorySegment.ofArray(h), DType.F32, COLUMNS, COLUMNS, Layout.ROW_MAJOR);
      QuadraticTraces traces = new QuadraticTraces(context, new Sums(context), 1);
      for (int width : new int[] {64, COLUMNS}) {
        Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
        Tensor product = scope.columnMajor(DType.F32, ROWS, width);
        traces.addInHalves(
            context.tensor(left),
            context.tensor(square),
            context.tensor(product),
            context.tensor(total));
        assertThat(HostCopies.scalar(total)).isCloseTo(trace(a, h), within(1e-2));
      }
    }
  }

  /** Matrices of experts are one block, those of large models eight. */
  @Test
  void blocksAreWorthTheirCalls() {
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    QuadraticTraces traces = new QuadraticTraces(context, new Sums(context), QuadraticTraces.WORK);
    assertThat(traces.width(1536, 2048)).isEqualTo(2048);
    assertThat(traces.width(2048, 768)).isEqualTo(768);
    assertThat(traces.width(4096, 4096)).isEqualTo(512);
    assertThat(traces.width(49152, 12288)).isEqualTo(1536);
  }
}
