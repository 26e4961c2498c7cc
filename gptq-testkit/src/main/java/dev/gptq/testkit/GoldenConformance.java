package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;

/**
 * The whole algorithm against recorded runs of its authors' implementation: 66 sets of options for
 * GPTQ and 26 for rounding to nearest, on a matrix of 512 x 1024 with two dead columns. They need
 * the folder that system property {@code gptq.shared} names.
 *
 * <p>The records were computed in float64, backends compute in float32: a weight near the middle of
 * two codes may go to the other one, and then all later weights of its row change a little. So the
 * error of a run is compared, nearly all codes are, and for each row with another code the test
 * replays the record in float64 and demands that the first difference is such a near tie. The
 * weight of largest magnitude in a group of a symmetric grid is an exact one: it lies at {@code
 * −(2^(b−1) − ½)} scales, and the last bit decides.
 */
public abstract class GoldenConformance extends Conformance {
  private static final double ERROR_LIMIT = 2e-3;
  private static final double SCALE_LIMIT = 1e-6;
  private static final double EQUAL_CODES = 0.995;

  /** For subclasses. */
  protected GoldenConformance() {}

  /** Rows to quantize, at most 512; rows are independent of each other. */
  protected int rows() {
    return 512;
  }

  private static GoldenData data() {
    return GoldenData.find()
        .orElseGet(() ->
            Assumptions.abort(
                "no golden/golden_ist.json in the folder of -Dgptq.shared ("
                    + System.getProperty("gptq.shared")
                    + ")"));
  }

  @Test
  void everyRunOfGptq(TestReporter reporter) {
    GoldenData data = data();
    Matrix w = firstRows(data.tensor("W"), rows());
    List<String> problems = new ArrayList<>();
    try (TensorScope scope = backend().newScope()) {
      Hessian hessian = new Hessian(backend(), scope, w.columns());
      backend().linalg().convert(upload(scope, data.tensor("H")), hessian.matrix());
      Map<String, HessianFactor> factors = new HashMap<>();
      for (String name : data.names("gptq")) {
        GoldenSet set = GoldenSet.of(name);
        HessianFactor factor =
            factors.computeIfAbsent(
                set.options().order() + " " + set.options().damping(),
                key -> HessianFactor.of(backend(), hessian, set.options(), scope));
        try (TensorScope local = backend().newScope()) {
          Gptq.Result result =
              new Gptq(backend(), set.options()).quantize(upload(local, w), factor, local);
          double error = error(w, result.matrix(), hessian.matrix(), local);
          double expected =
              Arrays.stream(data.tensor("gptq/" + name + "/f64/row_err").values())
                  .limit(rows())
                  .sum();
          GoldenRun run = new GoldenRun(data, set, w, factor, result.matrix());
          String line =
              String.format(
                  Locale.ROOT,
                  "%s: error %.6g, recorded %.6g (%+.1e); %s",
                  name,
                  error,
                  expected,
                  error / expected - 1,
                  run.summary());
          reporter.publishEntry(line);
          if (!(Math.abs(error - expected) <= ERROR_LIMIT * expected)
              || run.equalShare() < EQUAL_CODES) {
            problems.add(line);
          }
          problems.addAll(run.unexplained());
        }
      }
    }
    assertThat(problems).isEmpty();
  }

  /** {@code tr(D·H·Dᵀ)} with {@code D = W − Q} and the undamped Hessian. */
  private double error(Matrix w, QuantizedMatrix quantized, Tensor h, TensorScope scope) {
    Tensor difference = scope.columnMajor(DType.F32, w.rows(), w.columns());
    quantized.dequantize(backend(), difference);
    backend().linalg().axpy(-1, upload(scope, w), difference);
    Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
    backend().linalg().addTraceQuadratic(difference, h, total);
    return HostCopies.scalar(total);
  }

  @Test
  void everyRunOfRoundingToNearest() {
    GoldenData data = data();
    Matrix w = data.tensor("W");
    List<String> problems = new ArrayList<>();
    for (String name : data.names("rtn")) {
      GoldenSet set = GoldenSet.of(name);
      try (TensorScope local = backend().newScope()) {
        QuantizedMatrix quantized =
            new RoundToNearest(backend(), set.spec(), set.options().groupSize())
                .quantize(upload(local, w), local);
        if (!sha256(quantized).equals(data.text("rtn", name, "sha256_codes_all_rows"))) {
          problems.add(name + ": the codes differ from the recorded ones");
        }
        // The codes of all rows are equal, so the first rows stand for the scales.
        Matrix scales = data.tensor("rtn/" + name + "/f32/scale");
        Matrix own = decode(quantized.grid().scale());
        for (int i = 0; i < scales.values().length; i++) {
          double difference = own.values()[i] - scales.values()[i];
          if (!(Math.abs(difference) <= SCALE_LIMIT * scales.values()[i])) {
            problems.add(name + ": scale " + own.values()[i] + ", not " + scales.values()[i]);
          }
        }
      }
    }
    assertThat(problems).isEmpty();
  }

  private static String sha256(QuantizedMatrix quantized) {
    byte[] rowMajor = decode(quantized.codes()).as(Layout.ROW_MAJOR).bytes();
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(rowMajor));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Matrix firstRows(Matrix m, int rows) {
    return Matrix.of(rows, m.columns(), Arrays.copyOf(m.values(), rows * m.columns()));
  }

  private static Matrix decode(Tensor t) {
    byte[] bytes = new byte[Math.toIntExact(t.byteSize())];
    t.copyTo(MemorySegment.ofArray(bytes));
    return Matrix.filled(t.type(), t.layout(), t.rows(), t.columns(), 0).decode(bytes);
  }

  private static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }
}
