package dev.gptq.testkit;

import static dev.gptq.testkit.Planted.assertFound;
import static dev.gptq.testkit.Planted.assertPasses;

import dev.gptq.host.HostTensor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** The harness around every operation must find what has nothing to do with the formula. */
final class HarnessDefectsTest {

  @Test
  void soundBackendPasses() {
    assertPasses(
        Planted.LinearAlgebra.class,
        "gemmOfEveryLayout",
        new Interceptor("gemm", (target, backend, gemm, a) -> gemm.call(a)));
  }

  @Test
  void writesOutsideAView() {
    assertFound(
        Planted.LinearAlgebra.class,
        "gemmOfEveryLayout",
        "nothing around it is written",
        new Interceptor(
            "gemm",
            (target, backend, gemm, a) -> {
              gemm.call(a);
              HostTensor c = HostTensor.of((Tensor) a[4]);
              long beyond = c.index(c.rows() - 1, c.columns() - 1) + 1;
              if (4 * beyond < c.segment().byteSize()) {
                c.segment().setAtIndex(ValueLayout.JAVA_FLOAT, beyond, 0);
              }
              return null;
            }));
  }

  @Test
  void modifiesAnInput() {
    assertFound(
        Planted.LinearAlgebra.class,
        "traceQuadratic",
        "the input is unchanged",
        new Interceptor(
            "addTraceQuadratic",
            (target, backend, trace, a) -> {
              trace.call(a);
              Floats.update((Tensor) a[0], v -> -v);
              return null;
            }));
  }

  @Test
  void leaksAScope() {
    assertFound(
        Planted.LinearAlgebra.class,
        "axpy",
        "live bytes",
        new Interceptor(
            "axpy",
            (target, backend, axpy, a) -> {
              backend.newScope().rowMajor(DType.F32, 4, 4);
              return axpy.call(a);
            }));
  }

  @Test
  void lettingUndefinedMemoryThrough() {
    assertFound(
        Planted.LinearAlgebra.class,
        "gemmOfEveryShape",
        "is NaN but must be",
        new Interceptor(
            "gemm",
            (target, backend, gemm, a) -> {
              a[3] = (float) a[3] == 0 ? Float.MIN_VALUE : a[3];
              return gemm.call(a);
            }));
  }

  @Test
  void differsFromRunToRun() {
    AtomicInteger runs = new AtomicInteger();
    assertFound(
        Planted.LinearAlgebra.class,
        "traceQuadratic",
        "second run",
        new Interceptor(
            "addTraceQuadratic",
            (target, backend, trace, a) -> {
              trace.call(a);
              if (runs.incrementAndGet() % 2 == 0) {
                HostTensor total = HostTensor.of((Tensor) a[2]);
                double value = total.segment().getAtIndex(ValueLayout.JAVA_DOUBLE, total.offset());
                total
                    .segment()
                    .setAtIndex(ValueLayout.JAVA_DOUBLE, total.offset(), Math.nextUp(value));
              }
              return null;
            }));
  }

  @Test
  void acceptsForeignTensors() {
    assertFound(
        Planted.LinearAlgebra.class,
        "diagonal",
        "of a wrong backend",
        new Interceptor(
            "diagonal",
            (target, backend, diagonal, a) ->
                a[0] instanceof HostTensor ? diagonal.call(a) : null));
  }

  @Test
  void acceptsTensorsOfAClosedScope() {
    assertFound(
        Planted.LinearAlgebra.class,
        "diagonal",
        "of a closed scope",
        new Interceptor(
            "diagonal",
            (target, backend, diagonal, a) -> {
              try {
                return diagonal.call(a);
              } catch (IllegalStateException swallowed) {
                return null;
              }
            }));
  }

  @Test
  void zerosAreNotCleared() {
    assertFound(
        Planted.Tensors.class,
        "zerosAreZeroEvenInReusedMemory",
        "0",
        new Interceptor(
            "zeros",
            (target, backend, zeros, a) ->
                ((TensorScope) target)
                    .allocate((DType) a[0], (int) a[1], (int) a[2], (Layout) a[3])));
  }

  /** What the reference backend itself once did. */
  @Test
  void preparedWeightsOutliveTheirScope() {
    assertFound(
        Planted.Lifetime.class,
        "preparedWeightsLiveAsLongAsTheirScope",
        "Expecting code to raise a throwable",
        new Interceptor(
            "prepare",
            (target, backend, prepare, a) -> {
              a[1] = backend.newScope();
              return prepare.call(a);
            }));
  }
}
