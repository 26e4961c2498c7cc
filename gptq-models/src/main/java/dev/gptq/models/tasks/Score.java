package dev.gptq.models.tasks;

import com.google.common.primitives.ImmutableDoubleArray;
import java.util.List;

/**
 * A metric of a task.
 *
 * @param metric its name; {@code perplexity} is less for a better model, all others more
 * @param values of the documents: 0 or 1, or log-likelihoods for {@code perplexity}
 */
public record Score(String metric, ImmutableDoubleArray values) {
  /** The metric whose values are log-likelihoods. */
  static final String PERPLEXITY = "perplexity";

  /** The mean of the values; the perplexity of the mean. */
  public double value() {
    double mean = mean();
    return isPerplexity() ? Math.exp(-mean) : mean;
  }

  /** Whether it is a perplexity and not a share of right answers. */
  public boolean isPerplexity() {
    return metric.equals(PERPLEXITY);
  }

  /** The standard error of {@link #value}, documents taken as independent; NaN of one document. */
  public double standardError() {
    double mean = mean();
    double error = error(values.stream().map(v -> v - mean).toArray());
    return isPerplexity() ? value() * error : error;
  }

  private double mean() {
    return values.stream().average().orElseThrow();
  }

  /**
   * The standard error of the difference to another model's score on the same documents, which is
   * smaller than that of independent ones: models mostly fail at the same questions.
   */
  public double standardErrorOfDifference(Score base) {
    double[] differences = new double[values.length()];
    double mean = mean() - base.mean();
    for (int i = 0; i < differences.length; i++) {
      differences[i] = values.get(i) - base.values.get(i) - mean;
    }
    return error(differences);
  }

  private static double error(double[] deviations) {
    double squares = 0;
    for (double deviation : deviations) {
      squares += deviation * deviation;
    }
    return Math.sqrt(squares / (deviations.length - 1) / deviations.length);
  }

  /**
   * The score of several tasks: each document counts once. As the harness does it for groups, the
   * variance is the pooled one of the tasks.
   *
   * @return value and standard error
   */
  public static double[] pooled(List<Score> scores) {
    double documents = 0;
    double sum = 0;
    double squares = 0;
    for (Score score : scores) {
      int n = score.values().length();
      documents += n;
      sum += score.value() * n;
      squares += n < 2 ? 0 : score.standardError() * score.standardError() * n * (n - 1);
    }
    double variance = squares / (documents - scores.size());
    return new double[] {sum / documents, Math.sqrt(variance / documents)};
  }
}
