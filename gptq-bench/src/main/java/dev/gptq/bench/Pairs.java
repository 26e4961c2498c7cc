package dev.gptq.bench;

import com.google.common.primitives.ImmutableDoubleArray;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Two operations in short slices that alternate, so that both meet the same moods of the host. What
 * counts is the ratio within each pair of slices; pairs in which the host gave a processor to
 * another guest are thrown away.
 */
final class Pairs {
  /** Something that runs a number of times. */
  interface Slice {
    /** The seconds that so many executions took. */
    double seconds(int executions) throws IOException;
  }

  /**
   * What was measured, in work a second.
   *
   * @param own of each pair
   * @param other of each pair
   * @param dropped pairs that were thrown away
   */
  record Result(ImmutableDoubleArray own, ImmutableDoubleArray other, int dropped) {
    /** The median of the ratios of own to other, and an interval that holds it with 95 %. */
    Ratio ratio() {
      double[] ratios = new double[own.length()];
      Arrays.setAll(ratios, i -> own.get(i) / other.get(i));
      return Ratio.of(ratios);
    }
  }

  /**
   * A median and the interval that holds it with a probability of 95 %, whatever the distribution:
   * the number of values below the median is binomial, so that {@code (n − 1 ∓ 1.96·√n)/2} values
   * lie below the ends.
   */
  record Ratio(double low, double median, double high) {
    static Ratio of(double[] values) {
      double[] sorted = values.clone();
      Arrays.sort(sorted);
      int n = sorted.length;
      int below = (int) Math.max(0, Math.floor((n - 1 - 1.96 * Math.sqrt(n)) / 2));
      double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
      return new Ratio(sorted[below], median, sorted[n - 1 - below]);
    }
  }

  private static final double SLICE_SECONDS = 0.03;
  private static final int FEWEST = 5;

  /** Of all pairs; with more thrown away than kept so many times over, nothing can be measured. */
  private static final int MOST_DROPPED = 10;

  private final int count;
  private final double limitSeconds;

  /**
   * Says how long to measure.
   *
   * @param count pairs
   * @param limitSeconds after which fewer do, but at least {@value #FEWEST}
   */
  Pairs(int count, double limitSeconds) {
    this.count = count;
    this.limitSeconds = limitSeconds;
  }

  /**
   * Measures.
   *
   * @param ownWork of one execution of {@code own}
   * @param otherWork of one execution of {@code other}, in the same unit
   * @throws IllegalStateException if the host takes the processors away all the time
   */
  Result measure(Slice own, double ownWork, Slice other, double otherWork) throws IOException {
    int ownExecutions = executions(own);
    int otherExecutions = executions(other);
    List<double[]> kept = new ArrayList<>();
    int dropped = 0;
    long end = System.nanoTime() + (long) (limitSeconds * 1e9);
    while (kept.size() < FEWEST || (kept.size() < count && System.nanoTime() < end)) {
      long stolen = BusyCheck.stolen();
      double otherSeconds = other.seconds(otherExecutions);
      double ownSeconds = own.seconds(ownExecutions);
      if (BusyCheck.stolen() > stolen) {
        dropped++;
        if (dropped > MOST_DROPPED * Math.max(FEWEST, kept.size())) {
          throw new IllegalStateException(
              "the host takes the processors away in most slices; measure on a quieter one");
        }
        continue;
      }
      kept.add(
          new double[] {
            ownWork * ownExecutions / ownSeconds, otherWork * otherExecutions / otherSeconds
          });
    }
    return new Result(side(kept, 0), side(kept, 1), dropped);
  }

  private static ImmutableDoubleArray side(List<double[]> pairs, int index) {
    return ImmutableDoubleArray.copyOf(pairs.stream().mapToDouble(pair -> pair[index]));
  }

  private static int executions(Slice slice) throws IOException {
    return (int) Math.max(1, Math.round(SLICE_SECONDS / slice.seconds(1)));
  }
}
