package dev.gptq.models.evaluation;

import com.google.common.base.Preconditions;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Chooses the next token from logits. */
public final class Sampler {
  // Logits of a call. With all of them in one, the compiler turned to it after hundreds of tokens.
  private static final int STRETCH = 256;

  private final double temperature;
  private final double topP;
  private final SplittableRandom random;

  /**
   * A sampler.
   *
   * @param temperature 0 for the most likely token; else logits are divided by it
   * @param topP only the most likely tokens that together have this probability are drawn from
   * @param seed the same seed gives the same draws
   */
  public Sampler(double temperature, double topP, long seed) {
    Preconditions.checkArgument(
        temperature >= 0 && Double.isFinite(temperature),
        "temperature must not be negative but is %s",
        temperature);
    Preconditions.checkArgument(
        topP > 0 && topP <= 1, "top-p must be above 0 and at most 1 but is %s", topP);
    this.temperature = temperature;
    this.topP = topP;
    this.random = new SplittableRandom(seed);
  }

  /**
   * The next token; of equally likely ones the first.
   *
   * @throws dev.gptq.formats.BadInputException if a logit is NaN or infinite
   */
  public int next(float[] logits) {
    int best = 0;
    for (int from = 0; from < logits.length; from += STRETCH) {
      best = best(logits, from, Math.min(logits.length, from + STRETCH), best);
    }
    return temperature == 0 ? best : draw(logits, logits[best]);
  }

  /** The best of logits {@code from} to {@code to − 1} and of a first one. */
  private static int best(float[] logits, int from, int to, int first) {
    int best = first;
    for (int i = from; i < to; i++) {
      if (!Float.isFinite(logits[i])) {
        throw Sound.unsound("the model", "");
      }
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  private int draw(float[] logits, float max) {
    double[] weights = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Math.exp((logits[i] - max) / temperature);
      sum += weights[i];
    }
    int[] order =
        IntStream.range(0, weights.length)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> weights[i]).reversed())
            .mapToInt(Integer::intValue)
            .toArray();
    double kept = 0;
    int count = 0;
    while (count < order.length && kept < topP * sum) {
      kept += weights[order[count++]];
    }
    double at = random.nextDouble() * kept;
    for (int i = 0; i < count - 1; i++) {
      at -= weights[order[i]];
      if (at < 0) {
        return order[i];
      }
    }
    return order[count - 1];
  }
}
