package dev.gptq.models.evaluation;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.forward.TextModel;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
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

  /** Logits of both models that are held on the host at a time. */
  private static final int HELD = 1 << 24;

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
    private final int vocabulary;
    private final double[] kl;
    private final double[] same;
    private final double[] change;
    private final double[] baseLoss;
    private final double[] loss;
    private int windows;

    Positions(int count, int length, int vocabulary) {
      this.length = length;
      this.vocabulary = vocabulary;
      kl = new double[count];
      same = new double[count];
      change = new double[count];
      baseLoss = new double[count];
      loss = new double[count];
    }

    /** Compares what two models make of the next windows. */
    void compare(List<int[]> batch, Predictions.Part base, Predictions.Part model) {
      int first = windows;
      int tokens = batch.size() * length;
      int chunk = Math.max(1, HELD / vocabulary);
      for (int from = 0; from < tokens; from += chunk) {
        int start = from;
        int to = Math.min(from + chunk, tokens);
        float[] baseLogits = base.of(from, to);
        float[] logits = model.of(from, to);
        IntStream.range(from, to)
            .parallel()
            .filter(t -> t % length + 1 < length)
            .forEach(t ->
                compare(
                    (first + t / length) * (length - 1) + t % length,
                    batch.get(t / length)[t % length + 1],
                    baseLogits,
                    logits,
                    (t - start) * vocabulary));
      }
      windows += batch.size();
      for (int i = first * (length - 1); i < windows * (length - 1); i++) {
        Sound.require(baseLoss[i], "the model that is compared with", i / (length - 1));
        Sound.require(loss[i], "the model", i / (length - 1));
        Sound.require(kl[i], "the model", i / (length - 1));
      }
    }

    /** Compares two rows of logits. */
    private void compare(int position, int next, float[] base, float[] model, int from) {
      int top = from;
      int baseTop = from;
      for (int i = from + 1; i < from + vocabulary; i++) {
        baseTop = base[i] > base[baseTop] ? i : baseTop;
        top = model[i] > model[top] ? i : top;
      }
      double baseSum = 0;
      double sum = 0;
      double weighted = 0;
      for (int i = from; i < from + vocabulary; i++) {
        double p = Math.exp((double) base[i] - base[baseTop]);
        baseSum += p;
        weighted += p * (((double) base[i] - base[baseTop]) - ((double) model[i] - model[top]));
        sum += Math.exp((double) model[i] - model[top]);
      }
      double lnBase = Math.log(baseSum);
      double ln = Math.log(sum);
      kl[position] = weighted / baseSum - lnBase + ln;
      same[position] = baseTop == top ? 1 : 0;
      baseLoss[position] = lnBase - ((double) base[from + next] - base[baseTop]);
      loss[position] = ln - ((double) model[from + next] - model[top]);
      change[position] = Math.exp(-loss[position]) - Math.exp(-baseLoss[position]);
    }

    private static double perplexity(double[] losses, String whose) {
      return Sound.require(Math.exp(Arrays.stream(losses).average().orElseThrow()), whose);
    }

    Divergence summary() {
      double[] difference = new double[loss.length];
      Arrays.setAll(difference, i -> loss[i] - baseLoss[i]);
      double[] sorted = change.clone();
      Arrays.sort(sorted);
      ImmutableDoubleArray.Builder percentiles = ImmutableDoubleArray.builder();
      PERCENTILES.forEach(
          p -> percentiles.add(sorted[(int) Math.rint(p / 100 * (sorted.length - 1))]));
      return new Divergence(
          Estimate.of(kl),
          Estimate.of(difference),
          Estimate.of(same),
          Math.sqrt(Arrays.stream(change).map(c -> c * c).average().orElseThrow()),
          percentiles.build(),
          perplexity(loss, "the model"),
          perplexity(baseLoss, "the model that is compared with"));
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
    Positions positions =
        new Positions(Math.multiplyExact(windows.size(), length - 1), length, vocabulary);
    List<List<int[]>> batches = Perplexity.batches(windows);
    BothProgress both = new BothProgress(progress);
    try (TextModel.Reading baseReading = base.read(batches, both::base);
        TextModel.Reading reading = model.read(batches, both::model)) {
      for (List<int[]> batch : batches) {
        try (Outputs baseOutputs = baseReading.next();
            Outputs outputs = reading.next()) {
          positions.compare(batch, baseOutputs::logits, outputs::logits);
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
