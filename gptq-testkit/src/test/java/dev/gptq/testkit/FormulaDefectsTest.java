package dev.gptq.testkit;

import static dev.gptq.testkit.Planted.assertFound;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.host.HostTensor;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The kit must find formulas that are a little wrong. */
final class FormulaDefectsTest {
  private static final String FINDING = "but must be";

  @Test
  void multipliesInAShortenedFormat() {
    assertFound(
        Planted.LinearAlgebra.class,
        "gemmOfEveryShape",
        FINDING,
        new Interceptor(
            "gemm",
            (target, backend, gemm, a) -> {
              Tensor left = (Tensor) a[1];
              try (TensorScope scope = backend.newScope()) {
                Tensor copy =
                    scope.allocate(left.type(), left.rows(), left.columns(), left.layout());
                backend.linalg().convert(left, copy);
                // Ten bits of fraction, as in TF32.
                Floats.update(
                    copy, v -> Float.intBitsToFloat(Float.floatToIntBits((float) v) & ~0x1fff));
                a[1] = copy;
                return gemm.call(a);
              }
            }));
  }

  @Test
  void roundsHalfUp() {
    assertFound(
        Planted.Quantization.class,
        "quantizeNearestRoundsTiesToEven",
        FINDING,
        new Interceptor(
            "quantizeNearest",
            (target, backend, nearest, a) -> {
              nearest.call(a);
              halvesUp(HostTensor.of((Tensor) a[0]), (Grid) a[1], HostTensor.of((Tensor) a[2]));
              return null;
            }));
  }

  private static void halvesUp(HostTensor w, Grid grid, HostTensor codes) {
    float scale = Floats.get(HostTensor.of(grid.scale()), 0, 0);
    for (int r = 0; r < w.rows(); r++) {
      for (int c = 0; c < w.columns(); c++) {
        float t = Floats.get(w, r, c) / scale;
        long at = codes.index(r, c);
        byte code = codes.segment().get(ValueLayout.JAVA_BYTE, at);
        boolean half = Math.floor(t) + 0.5 == t;
        if (half && Math.rint(t) < t && code < grid.spec().maxCode()) {
          codes.segment().set(ValueLayout.JAVA_BYTE, at, (byte) (code + 1));
        }
      }
    }
  }

  /** Two roundings where the contract has one: {@code w − e·u} instead of {@code fma}. */
  @Test
  void roundsProductsBeforeSums() {
    assertFound(
        Planted.Quantization.class,
        "quantizeBlockOfEveryShape",
        FINDING,
        new Interceptor(
            "quantizeBlock",
            (target, backend, block, a) -> {
              HostTensor w = HostTensor.of((Tensor) a[0]);
              HostTensor u = HostTensor.of((Tensor) a[1]);
              Grid grid = (Grid) a[2];
              Tensor codes = (Tensor) a[3];
              for (int j = 0; j < w.columns(); j++) {
                block.call(
                    w.columns(j, j + 1),
                    u.rows(j, j + 1).columns(j, j + 1),
                    grid.columns(j, j + 1),
                    codes.columns(j, j + 1));
                for (int k = j + 1; k < w.columns(); k++) {
                  for (int r = 0; r < w.rows(); r++) {
                    float product = Floats.get(w, r, j) * Floats.get(u, j, k);
                    Floats.set(w, r, k, Floats.get(w, r, k) - product);
                  }
                }
              }
              return null;
            }));
  }

  /**
   * {@code s·u − s·z} instead of {@code s·(u − z)}: the same for F16 scales, whose products with
   * codes are exact, and not for others.
   */
  @Test
  void multipliesOut() {
    assertFound(
        Planted.Quantization.class,
        "dequantizeForEverySpecAndLayout",
        FINDING,
        new Interceptor(
            "dequantize",
            (target, backend, dequantize, a) -> {
              HostTensor codes = HostTensor.of((Tensor) a[0]);
              Grid grid = (Grid) a[1];
              HostTensor scale = HostTensor.of(grid.scale());
              HostTensor zero = HostTensor.of(grid.zero());
              HostTensor groups = HostTensor.of(grid.groupOf());
              HostTensor w = HostTensor.of((Tensor) a[2]);
              for (int r = 0; r < w.rows(); r++) {
                for (int c = 0; c < w.columns(); c++) {
                  int g = groups.segment().getAtIndex(ValueLayout.JAVA_INT, groups.index(0, c));
                  float s = Floats.get(scale, r, g);
                  int u =
                      Byte.toUnsignedInt(
                          codes.segment().get(ValueLayout.JAVA_BYTE, codes.index(r, c)));
                  Floats.set(w, r, c, s * u - s * Floats.get(zero, r, g));
                }
              }
              return null;
            }));
  }

  @Test
  void searchIsSkipped() {
    assertFound(
        Planted.Quantization.class,
        "fitGridForEverySpec",
        FINDING,
        new Interceptor(
            "fitGrid",
            (target, backend, fit, a) -> {
              a[1] = ((GridSpec) a[1]).withSearch(GridSearch.MIN_MAX);
              return fit.call(a);
            }));
  }

  @Test
  void windowIsTooWide() {
    assertFound(
        Planted.Attention.class,
        "window",
        FINDING,
        new Interceptor(
            "attention",
            (target, backend, attention, a) -> {
              AttentionSpec s = (AttentionSpec) a[3];
              int window = s.window() == 0 ? 0 : s.window() + 1;
              a[3] =
                  new AttentionSpec(
                      s.heads(),
                      s.keyValueHeads(),
                      s.headSize(),
                      s.scale(),
                      window,
                      s.softCap(),
                      s.alibi());
              return attention.call(a);
            }));
  }

  @Test
  void positionsIgnoreTheCache() {
    assertFound(
        Planted.Transformer.class,
        "rope",
        FINDING,
        new Interceptor(
            "rope",
            (target, backend, rope, a) -> {
              a[5] = 0;
              return rope.call(a);
            }));
  }

  @Test
  void allPairsAreHalves() {
    assertFound(
        Planted.Transformer.class,
        "rope",
        FINDING,
        new Interceptor(
            "rope",
            (target, backend, rope, a) -> {
              a[2] = RopePairs.HALVES;
              return rope.call(a);
            }));
  }

  @Test
  void activationIsApproximate() {
    assertFound(
        Planted.Transformer.class,
        "activate",
        FINDING,
        new Interceptor(
            "activate",
            (target, backend, activate, a) -> {
              a[0] = a[0] == Activation.GELU ? Activation.GELU_TANH : a[0];
              return activate.call(a);
            }));
  }

  @Test
  void ignoresTheGroupIndex() {
    assertFound(
        Planted.PackedMatmul.class,
        "groupsInNoRegularOrder",
        FINDING,
        new Interceptor(
            "prepare",
            (target, backend, prepare, a) -> {
              PackedMatrix m = (PackedMatrix) a[0];
              if (m.columns() % m.groups() == 0) {
                a[0] =
                    new PackedMatrix(
                        m.scheme(),
                        m.bits(),
                        m.rows(),
                        m.columns(),
                        m.groups(),
                        m.words(),
                        m.scales(),
                        m.zeros(),
                        Optional.empty());
              }
              return prepare.call(a);
            }));
  }

  @Test
  void gramForgetsTheLastToken() {
    assertFound(
        Planted.LinearAlgebra.class,
        "gramOfTokens",
        FINDING,
        new Interceptor(
            "accumulateGram",
            (target, backend, gram, a) -> {
              Tensor x = (Tensor) a[1];
              a[1] = x.rows(0, x.rows() - x.rows() % 2);
              return gram.call(a);
            }));
  }

  @Test
  void lazyUpdatesGetLost() {
    Interceptor defect =
        new Interceptor(
            "gemm",
            (target, backend, gemm, a) -> ((Tensor) a[4]).columns() > 16 ? null : gemm.call(a));
    assertFound(Planted.Gptq.class, "lossIsTheDampedError", "to be close to", defect);
    assertFound(Planted.Gptq.class, "blockSizeDoesNotMatter", "in blocks of", defect);
  }

  @Test
  void factorHasAWrongSign() {
    assertFound(
        Planted.Gptq.class,
        "columnLoopIsBabai",
        "row",
        new Interceptor(
            "cholesky",
            (target, backend, cholesky, a) -> {
              cholesky.call(a);
              HostTensor l = HostTensor.of((Tensor) a[0]);
              for (int j = 0; j + 1 < l.rows(); j++) {
                Floats.set(l, j + 1, j, -Floats.get(l, j + 1, j));
              }
              return null;
            }));
  }
}
