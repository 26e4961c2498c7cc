package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.evaluation.Predictions;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.Outputs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class DivergenceTest {
  private static final Path TINY =
      Path.of(System.getProperty("gptq.root")).resolve("examples/tiny");
  private static final int WINDOW = 24;

  private Backend backend;
  private Model model;
  private ImmutableList<int[]> windows;

  @BeforeEach
  void open() throws IOException {
    backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
    model = Model.open(TINY);
    SplittableRandom random = new SplittableRandom(5);
    windows =
        IntStream.range(0, 3)
            .mapToObj(i -> random.ints(WINDOW, 0, model.spec().vocabulary()).toArray())
            .collect(ImmutableList.toImmutableList());
  }

  @AfterEach
  void close() throws IOException {
    assertThat(backend.memory().live()).isZero();
    backend.close();
    model.close();
  }

  private Decoder rounded(int bits) {
    MemoryStore store = new MemoryStore();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            QuantizationSettings.of(
                Method.RTN, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, bits), 64)),
            ImmutableList.of(),
            store,
            JobListener.SILENT)
        .run();
    return new Decoder(backend, model.spec(), model.weights(backend, store.packed()));
  }

  @Test
  void keptPredictionsGiveTheSameDivergence() {
    try (Decoder original = model.load(backend);
        Decoder rounded = rounded(4);
        Predictions kept = Predictions.of(original, windows)) {
      assertThat(kept.divergence(rounded))
          .isEqualTo(Divergence.of(original, rounded, windows, done -> {}).kl().mean())
          .isPositive();
    }
  }

  @Test
  void aModelDoesNotDivergeFromItself() {
    try (Decoder decoder = model.load(backend)) {
      Divergence same = Divergence.of(decoder, decoder, windows, done -> {});
      assertThat(same.kl().mean()).isZero();
      assertThat(same.topOneAgreement().mean()).isEqualTo(1);
      assertThat(same.lnPerplexityRatio()).isEqualTo(new Divergence.Estimate(0, 0));
      assertThat(same.rmsProbabilityChange()).isZero();
      double perplexity = Perplexity.of(decoder, windows, done -> {}).perplexity();
      assertThat(same.perplexity()).isCloseTo(perplexity, within(1e-5 * perplexity));
      assertThat(same.basePerplexity()).isEqualTo(same.perplexity());
    }
  }

  @Test
  void everyFigureFollowsItsDefinition() {
    try (Decoder base = model.load(backend);
        Decoder quantized = rounded(3)) {
      List<Integer> done = new ArrayList<>();
      Divergence found = Divergence.of(base, quantized, windows, done::add);
      assertThat(done).isNotEmpty().last().isEqualTo(windows.size());
      List<Double> kl = new ArrayList<>();
      List<Double> changes = new ArrayList<>();
      double loss = 0;
      double baseLoss = 0;
      int same = 0;
      for (int[] window : windows) {
        try (Outputs b = base.run(List.of(window));
            Outputs q = quantized.run(List.of(window))) {
          for (int t = 0; t + 1 < WINDOW; t++) {
            double[] p = softmax(b.logits(t, t + 1));
            double[] r = softmax(q.logits(t, t + 1));
            double sum = 0;
            for (int i = 0; i < p.length; i++) {
              sum += p[i] * Math.log(p[i] / r[i]);
            }
            kl.add(sum);
            changes.add(r[window[t + 1]] - p[window[t + 1]]);
            loss -= Math.log(r[window[t + 1]]);
            baseLoss -= Math.log(p[window[t + 1]]);
            same += most(p) == most(r) ? 1 : 0;
          }
        }
      }
      int n = kl.size();
      double mean = kl.stream().mapToDouble(v -> v).average().orElseThrow();
      double variance = kl.stream().mapToDouble(v -> (v - mean) * (v - mean)).sum() / (n - 1);
      assertThat(mean).isGreaterThan(0.01);
      assertThat(found.kl().mean()).isCloseTo(mean, within(1e-6 * mean));
      assertThat(found.kl().standardError())
          .isCloseTo(Math.sqrt(variance / n), within(1e-6 * mean));
      assertThat(found.lnPerplexityRatio().mean()).isCloseTo((loss - baseLoss) / n, within(1e-6));
      assertThat(found.topOneAgreement().mean()).isEqualTo((double) same / n);
      double squares = changes.stream().mapToDouble(c -> c * c).average().orElseThrow();
      assertThat(found.rmsProbabilityChange()).isCloseTo(Math.sqrt(squares), within(1e-6));
      changes.sort(null);
      assertThat(found.probabilityChanges().get(2)).isCloseTo(changes.get(n / 2), within(1e-6));
      assertThat(found.probabilityChanges().get(0)).isCloseTo(changes.getFirst(), within(1e-6));
    }
  }

  private static double[] softmax(float[] logits) {
    double largest = IntStream.range(0, logits.length).mapToDouble(i -> logits[i]).max().orElse(0);
    double[] e =
        IntStream.range(0, logits.length).mapToDouble(i -> Math.exp(logits[i] - largest)).toArray();
    double sum = Arrays.stream(e).sum();
    return Arrays.stream(e).map(v -> v / sum).toArray();
  }

  private static int most(double[] p) {
    return IntStream.range(0, p.length).reduce(0, (a, b) -> p[b] > p[a] ? b : a);
  }
}
