package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/**
 * Chooses one candidate for every unit so that all fit into a number of bytes. Of each unit only
 * the candidates on the lower convex hull of error over bytes count; from the smallest ones on, the
 * upgrade that takes most off the weighted relative error for each byte is taken again and again.
 * This is the greedy solution of the multiple-choice knapsack, at most one step away from the best.
 */
final class BitBudget {
  private BitBudget() {}

  /** A unit and the setting it could go on to. */
  private record Upgrade(int unit, int next, double benefit) {}

  /**
   * The choice, a candidate for each unit.
   *
   * @param tried for each unit its candidates, the first run first
   * @param weights for each unit what its relative error counts
   * @param bytes what they may take; if the first run takes more, all stay as they are
   */
  static ImmutableList<Candidate> choose(
      List<ImmutableList<Candidate>> tried, List<Double> weights, long bytes) {
    List<List<Candidate>> hulls = tried.stream().map(BitBudget::hull).toList();
    int[] at = new int[hulls.size()];
    long left = bytes - tried.stream().mapToLong(unit -> unit.getFirst().bytes()).sum();
    PriorityQueue<Upgrade> upgrades =
        new PriorityQueue<>(
            Comparator.comparingDouble(Upgrade::benefit)
                .reversed()
                .thenComparingInt(Upgrade::unit));
    for (int unit = 0; unit < at.length; unit++) {
      offer(upgrades, hulls, weights, unit, 1);
    }
    while (!upgrades.isEmpty()) {
      Upgrade upgrade = upgrades.remove();
      List<Candidate> hull = hulls.get(upgrade.unit());
      long cost = hull.get(upgrade.next()).bytes() - hull.get(upgrade.next() - 1).bytes();
      // An upgrade that does not fit ends its unit: the upgrades after it are no use without it.
      if (cost <= left) {
        left -= cost;
        at[upgrade.unit()] = upgrade.next();
        offer(upgrades, hulls, weights, upgrade.unit(), upgrade.next() + 1);
      }
    }
    ImmutableList.Builder<Candidate> chosen = ImmutableList.builder();
    for (int unit = 0; unit < at.length; unit++) {
      chosen.add(hulls.get(unit).get(at[unit]));
    }
    return chosen.build();
  }

  private static void offer(
      PriorityQueue<Upgrade> upgrades,
      List<List<Candidate>> hulls,
      List<Double> weights,
      int unit,
      int next) {
    List<Candidate> hull = hulls.get(unit);
    if (next < hull.size()) {
      double benefit = hull.get(next).benefitPerByte(hull.get(next - 1));
      upgrades.add(new Upgrade(unit, next, weights.get(unit) * benefit));
    }
  }

  /** The first run and those better than it on the lower convex hull of error over bytes. */
  private static List<Candidate> hull(List<Candidate> tried) {
    Candidate first = tried.getFirst();
    List<Candidate> hull = new ArrayList<>(List.of(first));
    List<Candidate> better =
        tried.stream()
            .skip(1)
            .filter(candidate -> candidate.isBetterThan(first))
            .sorted(Comparator.comparingLong(Candidate::bytes))
            .toList();
    for (Candidate candidate : better) {
      while (hull.size() > 1
          && candidate.benefitPerByte(hull.get(hull.size() - 2))
              >= hull.getLast().benefitPerByte(hull.get(hull.size() - 2))) {
        hull.removeLast();
      }
      if (candidate.relativeError() < hull.getLast().relativeError()) {
        hull.add(candidate);
      }
    }
    return hull;
  }
}
