package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/**
 * Chooses a setting for every unit so that all fit into a number of bytes. Of each unit only the
 * settings on the lower convex hull of cost over bytes count; from the smallest ones on, the
 * upgrade that takes most off the cost for each byte is taken again and again. This is the greedy
 * solution of the multiple-choice knapsack, at most one step away from the best.
 */
final class BitBudget {
  private BitBudget() {}

  /**
   * A unit with a setting.
   *
   * @param bytes of its tensors
   * @param cost what its errors cost
   */
  record Rung(long bytes, double cost) {
    /** What each byte more than the other's takes off the cost. */
    private double benefit(Rung other) {
      return (other.cost - cost) / (bytes - other.bytes);
    }
  }

  /** A unit and the place on its hull that it could go on to. */
  private record Upgrade(int unit, int next, double benefit) {}

  /**
   * The choice, for each unit the index of a setting.
   *
   * @param units for each unit its settings, the smallest first
   * @param bytes what they may take; if the first of all take more, they are what is chosen
   */
  static ImmutableList<Integer> choose(List<? extends List<Rung>> units, long bytes) {
    List<List<Rung>> hulls = units.stream().map(BitBudget::hull).toList();
    int[] at = new int[hulls.size()];
    long left = bytes - units.stream().mapToLong(unit -> unit.getFirst().bytes()).sum();
    PriorityQueue<Upgrade> upgrades =
        new PriorityQueue<>(
            Comparator.comparingDouble(Upgrade::benefit)
                .reversed()
                .thenComparingInt(Upgrade::unit));
    for (int unit = 0; unit < at.length; unit++) {
      offer(upgrades, hulls, unit, 1);
    }
    while (!upgrades.isEmpty()) {
      Upgrade upgrade = upgrades.remove();
      List<Rung> hull = hulls.get(upgrade.unit());
      long cost = hull.get(upgrade.next()).bytes() - hull.get(upgrade.next() - 1).bytes();
      // An upgrade that does not fit ends its unit: the upgrades after it are no use without it.
      if (cost <= left) {
        left -= cost;
        at[upgrade.unit()] = upgrade.next();
        offer(upgrades, hulls, upgrade.unit(), upgrade.next() + 1);
      }
    }
    ImmutableList.Builder<Integer> chosen = ImmutableList.builder();
    for (int unit = 0; unit < at.length; unit++) {
      chosen.add(units.get(unit).indexOf(hulls.get(unit).get(at[unit])));
    }
    return chosen.build();
  }

  private static void offer(
      PriorityQueue<Upgrade> upgrades, List<List<Rung>> hulls, int unit, int next) {
    List<Rung> hull = hulls.get(unit);
    if (next < hull.size()) {
      upgrades.add(new Upgrade(unit, next, hull.get(next).benefit(hull.get(next - 1))));
    }
  }

  /** The first setting and those better than it on the lower convex hull of cost over bytes. */
  private static List<Rung> hull(List<Rung> unit) {
    Rung first = unit.getFirst();
    List<Rung> hull = new ArrayList<>(List.of(first));
    List<Rung> better =
        unit.stream()
            .skip(1)
            .filter(rung -> rung.cost() < first.cost())
            .sorted(Comparator.comparingLong(Rung::bytes))
            .toList();
    for (Rung rung : better) {
      while (hull.size() > 1
          && rung.benefit(hull.get(hull.size() - 2))
              >= hull.getLast().benefit(hull.get(hull.size() - 2))) {
        hull.removeLast();
      }
      if (rung.cost() < hull.getLast().cost()) {
        hull.add(rung);
      }
    }
    return hull;
  }
}
