package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.formats.SharedFiles;
import dev.gptq.models.Model;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Gradients against finite differences: the weights of each group of layers move along the gradient
 * of the loss with respect to them, {@code Σ g·xᵀ}, and the loss must change by as much as its
 * length says.
 */
class BackwardPassTest {
  /** By how much weights move, as a share of their length. */
  private static final double STEP = 3e-4;

  private static final double TOLERANCE = 0.02;

  /** What float32 logits round a loss by, as a share of it. */
  private static final double ROUNDING = 0x1p-24;

  /** What the activations of an expert are called. */
  private static final Pattern EXPERT = Pattern.compile("^expert\\d+");

  /** A group of a block. */
  private record Place(int block, Step.Linears group) {}

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-gqa-rope3",
        "mistral-sliding",
        "qwen3",
        "gemma2",
        "phi3",
        "bloom",
        "gpt2",
        "gpt-neox",
        "opt-350m-style",
        "cohere2",
        "exaone4",
        "falcon",
        "gemma3",
        "glm4",
        "gptj",
        "granite",
        "nemotron",
        "olmo2",
        "stablelm",
        "starcoder2"
      })
  void gradientsAreThoseOfFiniteDifferences(String checkpoint) throws IOException {
    check(checkpoint, "simd", STEP);
  }

  @Test
  void ofTheReferenceBackend() throws IOException {
    check("llama-gqa-rope3", "reference", STEP);
  }

  /**
   * Checks all gradients of a model but for those of experts after the first that has tokens.
   *
   * @param share by how much weights move, as a share of their length
   */
  static void check(String checkpoint, String name, double share) throws IOException {
    try (Backend backend = TestBackends.open(name);
        Model model = Model.open(SharedFiles.architecture(checkpoint));
        Decoder decoder = model.load(backend);
        TensorScope scope = backend.newScope()) {
      List<int[]> windows = twoWindows(checkpoint);
      int[] labels = labels(windows);
      Map<Place, Tensor> gradients = new LinkedHashMap<>();
      decoder
          .backward()
          .run(
              windows,
              1,
              (logits, round, from, local) -> chosen(labels, from, logits.rows(), local),
              (block, group, gradient) -> {
                Tensor copy = scope.rowMajor(DType.F32, gradient.rows(), gradient.columns());
                backend.linalg().convert(gradient, copy);
                gradients.put(new Place(block, group), copy);
              });
      Ends ends = new Ends(backend, model.spec(), model.weights(backend), scope);
      try (Registers registers = new Registers(backend, scope)) {
        ends.embed(windows, registers, scope);
        for (int b = 0; b < model.spec().blocks().size(); b++) {
          Set<String> experts = new HashSet<>();
          List<Step> steps = model.spec().blocks().get(b).steps();
          for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof Step.Linears group) {
              Tensor g = gradients.get(new Place(b, group));
              assertThat(g == null).isEqualTo(registers.isEmpty(group.in()));
              Matcher expert = EXPERT.matcher(group.in());
              boolean first =
                  !expert.find() || experts.isEmpty() || experts.contains(expert.group());
              if (g != null && first) {
                if (expert.hasMatch()) {
                  experts.add(expert.group());
                }
                move(decoder, b, group, g, registers.get(group.in()), windows, labels, share);
              }
            }
            decoder.block(b).run(registers, windows.size(), i, i + 1);
          }
        }
      }
    }
  }

  private static List<int[]> twoWindows(String name) throws IOException {
    return Expected.read(SharedFiles.architecture(name)).windows().stream().limit(2).toList();
  }

  /** The gradient of the divergence from what the model was, with respect to changed weights. */
  @Test
  void gradientsOfADivergence() throws IOException {
    try (Backend backend = TestBackends.open("simd");
        Model model = Model.open(SharedFiles.architecture("llama-gqa-rope3"));
        Decoder decoder = model.load(backend);
        TensorScope scope = backend.newScope()) {
      List<int[]> windows = twoWindows("llama-gqa-rope3");
      Tensor base = decoder.logitsOf(decoder.stream(windows, scope), scope);
      LinearSpec module = model.spec().blocks().getFirst().linears().findFirst().orElseThrow();
      Tensor weight = decoder.block(0).dense(module);
      backend.transformer().scale(0.5f, weight);
      Tensor slope = scope.rowMajor(DType.F32, weight.rows(), weight.columns());
      decoder
          .backward()
          .run(
              windows,
              (logits, round, from, d) -> divergence(backend, logits, base, from, d),
              (block, seen, input, gradient) -> {
                if (block == 0 && seen.equals(module)) {
                  backend.linalg().gemm(1, gradient.transposed(), input, 0, slope);
                }
              });
      double length = length(slope);
      double step = STEP * length(weight) / length;
      double[] sides = new double[2];
      for (int side = 0; side < 2; side++) {
        backend.linalg().axpy((float) (side == 0 ? -step : 2 * step), slope, weight);
        try (TensorScope local = backend.newScope()) {
          Tensor logits = decoder.logits(windows, local);
          Tensor unused = local.rowMajor(DType.F32, logits.rows(), logits.columns());
          sides[side] = divergence(backend, logits, base, 0, unused);
        }
      }
      assertThat((sides[1] - sides[0]) / (2 * step * length))
          .isCloseTo(length, within(TOLERANCE * length));
    }
  }

  /** Half the squared error of what a block leaves behind, with respect to changed weights. */
  @Test
  void gradientsOfTheErrorOfABlock() throws IOException {
    try (Backend backend = TestBackends.open("simd");
        Model model = Model.open(SharedFiles.architecture("llama-gqa-rope3"));
        Decoder decoder = model.load(backend);
        TensorScope scope = backend.newScope()) {
      List<int[]> windows = twoWindows("llama-gqa-rope3");
      Tensor in = decoder.embedded(windows, scope);
      Tensor wanted = decoder.stream(windows, scope);
      BackwardPass pass = decoder.backward();
      for (LinearSpec module : model.spec().blocks().getFirst().linears().toList()) {
        Tensor weight = decoder.block(0).dense(module);
        Tensor slope = scope.rowMajor(DType.F32, weight.rows(), weight.columns());
        pass.run(
            0,
            in,
            wanted,
            2,
            (block, seen, input, gradient) -> {
              assertThat(block).isZero();
              if (seen.equals(module)) {
                backend.linalg().gemm(1, gradient.transposed(), input, 0, slope);
              }
            });
        double length = length(slope);
        double step = 10 * STEP * length(weight) / length;
        double[] sides = new double[2];
        for (int side = 0; side < 2; side++) {
          backend.linalg().axpy((float) (side == 0 ? -step : 2 * step), slope, weight);
          sides[side] = in.elements() / 2.0 * pass.run(0, in, wanted, 2, (b, m, x, g) -> {});
        }
        backend.linalg().axpy((float) -step, slope, weight);
        assertThat((sides[1] - sides[0]) / (2 * step * length))
            .as(module.module())
            .isCloseTo(length, within(TOLERANCE * length));
      }
    }
  }

  /** Σ KL over the positions of some logits. */
  private static double divergence(
      Backend backend, Tensor logits, Tensor base, int from, Tensor gradient) {
    try (TensorScope local = backend.newScope()) {
      Tensor each = local.rowMajor(DType.F32, 1, logits.rows());
      backend
          .gradients()
          .divergenceGradient(logits, base.rows(from, from + logits.rows()), each, gradient);
      double sum = 0;
      for (float value : HostCopies.floats(each)) {
        sum += value;
      }
      return sum;
    }
  }

  private static void move(
      Decoder decoder,
      int block,
      Step.Linears group,
      Tensor gradient,
      Tensor input,
      List<int[]> windows,
      int[] labels,
      double share) {
    Backend backend = decoder.backend();
    int from = 0;
    for (LinearSpec module : group.modules()) {
      int to = from + module.outputs();
      Tensor weight = decoder.block(block).dense(module);
      try (TensorScope local = backend.newScope()) {
        Tensor slope = local.rowMajor(DType.F32, weight.rows(), weight.columns());
        backend.linalg().gemm(1, gradient.columns(from, to).transposed(), input, 0, slope);
        double length = length(slope);
        double step = share * length(weight) / length;
        Tensor kept = local.rowMajor(weight.type(), weight.rows(), weight.columns());
        backend.linalg().convert(weight, kept);
        double[] losses = new double[2];
        for (int side = 0; side < 2; side++) {
          backend.linalg().convert(kept, weight);
          backend.linalg().axpy((float) (side == 0 ? -step : step), slope, weight);
          losses[side] = loss(decoder, windows, labels);
        }
        backend.linalg().convert(kept, weight);
        assertThat((losses[1] - losses[0]) / (2 * step * length))
            .as("block %s, %s: slope over its gradient's length", block, module.module())
            .isCloseTo(
                length, within(TOLERANCE * length + ROUNDING * losses[0] / (2 * step * length)));
      }
      from = to;
    }
  }

  private static double length(Tensor m) {
    double squares = 0;
    for (float v : HostCopies.floats(m)) {
      squares += (double) v * v;
    }
    return Math.sqrt(squares);
  }

  /** The next token; that after the last position does not matter. */
  private static int[] labels(List<int[]> windows) {
    int length = windows.getFirst().length;
    int[] labels = new int[windows.size() * length];
    for (int t = 0; t < labels.length; t++) {
      labels[t] = windows.get(t / length)[(t + 1) % length];
    }
    return labels;
  }

  private static Tensor chosen(int[] labels, int from, int count, TensorScope scope) {
    int[] some = new int[count];
    System.arraycopy(labels, from, some, 0, count);
    return scope.upload(MemorySegment.ofArray(some), DType.I32, 1, count, Layout.ROW_MAJOR);
  }

  private static double loss(Decoder decoder, List<int[]> windows, int[] labels) {
    try (TensorScope local = decoder.backend().newScope()) {
      Tensor logits = decoder.logits(windows, local);
      float[] values = HostCopies.floats(logits);
      double sum = 0;
      int n = logits.columns();
      for (int t = 0; t < labels.length; t++) {
        double total = 0;
        double most = Double.NEGATIVE_INFINITY;
        for (int c = 0; c < n; c++) {
          most = Math.max(most, values[t * n + c]);
        }
        for (int c = 0; c < n; c++) {
          total += Math.exp(values[t * n + c] - most);
        }
        sum += Math.log(total) + most - values[t * n + labels[t]];
      }
      return sum;
    }
  }

  @Test
  void stepsWithoutDerivativesAreNamed() throws IOException {
    try (Backend backend = TestBackends.open("simd");
        Model model = Model.open(SharedFiles.architecture("qwen3-next"));
        Decoder decoder = model.load(backend)) {
      assertThat(Derivatives.missing(model.spec())).contains("convolutions");
      assertThatThrownBy(decoder::backward).hasMessage("no derivative of convolutions");
    }
  }
}
