package dev.gptq.models.evaluation;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.forward.TextModel;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * How far a model's predictions are from those of another, its full-precision original say, over
 * the positions of windows of text that have a next token. Far more sensitive than the perplexity,
 * in which gains and losses of single tokens cancel. Conventions as in llama.cpp's perplexity tool.
 *
 * @param kl mean over positions of {@code KL(base ‖ model) = Σ p_base·ln(p_base / p_model)}
 * @param lnPerplexityRatio {@code ln(perplexity of model / perplexity of base)}
 * @param topOneAgreement share of positions at which both find the same token most likely
 * @param rmsProbabilityChange root mean square of {@code p_model − p_base} of the correct token
 * @param probabilityChanges percentiles {@link #PERCENTILES} of that change
 * @param perplexity of the model
 * @param basePerplexity of the base
 */
public record Divergence(
    Estimate kl,
    Estimate lnPerplexityRatio,
    Estimate topOneAgreement,
    double rmsProbabilityChange,
    ImmutableDoubleArray probabilityChanges,
    double perplexity,
    double basePerplexity) {

  /** The percentiles of changes that are reported. */
  public static final ImmutableDoubleArray PERCENTILES =
      ImmutableDoubleArray.of(0.1, 1, 50, 99, 99.9);

  /** A mean and its standard error, positions taken as independent. */
  public record Estimate(double mean, double standardError) {
    private static Estimate of(double[] values) {
      double mean = Arrays.stream(values).average().orElseThrow();
      double squares = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
      return new Estimate(mean, Math.sqrt(squares / values.length / (values.length - 1)));
    }
  }

  /** What is known of each position. */
  static final class Positions {
    private final int length;
    private final double[] kl;
    private final double[] same;
    private final double[] change;
    private final double[] baseLoss;
    private final double[] lossChange;
    private int windows;

    Positions(int count, int length) {
      this.length = length;
      kl = new double[count];
      same = new double[count];
      change = new double[count];
      baseLoss = new double[count];
      lossChange = new double[count];
    }

    /** Compares what two models make of the next windows. */
    void compare(List<int[]> batch, Outputs base, Outputs model) {
      int first = windows;
      model.compare(
          base,
          (position, divergence, ofBase, more, sameTop) -> {
            int window = first + position / length;
            Sound.require(ofBase, "the model that is compared with", window);
            Sound.require(more, "the model", window);
            Sound.require(divergence, "the model", window);
            int i = window * (length - 1) + position % length;
            kl[i] = divergence;
            baseLoss[i] = ofBase;
            lossChange[i] = more;
            same[i] = sameTop ? 1 : 0;
            change[i] = Math.exp(-ofBase) * Math.expm1(-more);
          });
      windows += batch.size();
    }

    private static double perplexity(DoubleStream losses, String whose) {
      return Sound.require(Math.exp(losses.average().orElseThrow()), whose);
    }

    Divergence summary() {
      double[] sorted = change.clone();
      Arrays.sort(sorted);
      ImmutableDoubleArray.Builder percentiles = ImmutableDoubleArray.builder();
      PERCENTILES.forEach(
          p -> percentiles.add(sorted[(int) Math.rint(p / 100 * (sorted.length - 1))]));
      return new Divergence(
          Estimate.of(kl),
          Estimate.of(lossChange),
          Estimate.of(same),
          Math.sqrt(Arrays.stream(change).map(c -> c * c).average().orElseThrow()),
          percentiles.build(),
          perplexity(
              IntStream.range(0, baseLoss.length).mapToDouble(i -> baseLoss[i] + lossChange[i]),
              "the model"),
          perplexity(Arrays.stream(baseLoss), "the model that is compared with"));
    }
  }

  /**
   * Compares a model with a base of the same vocabulary; {@code progress} hears the number of
   * windows done.
   *
   * @throws dev.gptq.formats.BadInputException if one of them predicts anything but finite numbers
   */
  public static Divergence of(
      TextModel base, TextModel model, ImmutableList<int[]> windows, IntConsumer progress) {
    Preconditions.checkArgument(!windows.isEmpty(), "no windows to evaluate");
    int vocabulary = base.spec().vocabulary();
    Preconditions.checkArgument(
        model.spec().vocabulary() == vocabulary,
        "vocabularies of %s and %s tokens cannot be compared",
        vocabulary,
        model.spec().vocabulary());
    int length = windows.getFirst().length;
    Preconditions.checkArgument(length > 1, "a window of one token predicts nothing");
    Positions positions = new Positions(Math.multiplyExact(windows.size(), length - 1), length);
    List<List<int[]>> batches = Perplexity.batches(windows);
    BothProgress both = new BothProgress(progress);
    try (TextModel.Reading baseReading = base.read(batches, both::base);
        TextModel.Reading reading = model.read(batches, both::model)) {
      for (List<int[]> batch : batches) {
        try (Outputs baseOutputs = baseReading.next();
            Outputs outputs = reading.next()) {
          positions.compare(batch, baseOutputs, outputs);
        }
      }
    }
    return positions.summary();
  }

  /** Windows that count half when one of the models has read them. */
  private static final class BothProgress {
    private final IntConsumer windows;
    private int base;
    private int model;

    BothProgress(IntConsumer windows) {
      this.windows = windows;
    }

    void base(int done) {
      base = done;
      windows.accept((base + model) / 2);
    }

    void model(int done) {
      model = done;
      windows.accept((base + model) / 2);
    }
  }
}
