package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import java.util.Arrays;
import java.util.List;

/**
 * Chooses a setting for every unit so that all fit into a number of bytes and cost as little as
 * they can: the multiple-choice knapsack, solved unit by unit for every number of bytes (dynamic
 * programming). Bytes are counted in steps of which what is to be spent has {@value #STEPS}, and
 * each unit's rounded up; of fewer bytes than that the choice is the best there is. Upgrades by
 * benefit for each byte, one after the other, leave up to 2.5 % of the cost at tens of units.
 */
final class BitBudget {
  private static final int STEPS = 1 << 16;

  private BitBudget() {}

  /**
   * A unit with a setting.
   *
   * @param bytes of its tensors
   * @param cost what its errors cost
   */
  record Rung(long bytes, double cost) {}

  /**
   * The choice, for each unit the index of a setting.
   *
   * @param units for each unit its settings, the smallest first
   * @param bytes what they may take; if the first of all take more, they are what is chosen
   */
  static ImmutableList<Integer> choose(List<? extends List<Rung>> units, long bytes) {
    long least = units.stream().mapToLong(unit -> unit.getFirst().bytes()).sum();
    long most = units.stream().mapToLong(unit -> unit.getLast().bytes()).sum();
    // Twice of what can be spent, so that rounding up leaves nothing out where all of it may be.
    long room = Math.clamp(bytes - least, 0, 2 * (most - least));
    long step = Math.max(1, Math.ceilDiv(room, STEPS));
    int steps = Math.toIntExact(room / step);
    double[] costs = new double[steps + 1];
    byte[][] chosen = new byte[units.size()][];
    for (int unit = 0; unit < chosen.length; unit++) {
      chosen[unit] = new byte[steps + 1];
      costs = add(units.get(unit), step, costs, chosen[unit]);
    }
    Integer[] indices = new Integer[chosen.length];
    int left = steps;
    for (int unit = chosen.length - 1; unit >= 0; unit--) {
      indices[unit] = (int) chosen[unit][left];
      left -= steps(units.get(unit), indices[unit], step);
    }
    return ImmutableList.copyOf(indices);
  }

  /**
   * The least costs with a unit more.
   *
   * @param before without it, for each number of steps that may be spent
   * @param chosen out, the setting of the unit that is best with each number of steps
   */
  private static double[] add(List<Rung> unit, long step, double[] before, byte[] chosen) {
    double[] costs = new double[before.length];
    Arrays.fill(costs, Double.POSITIVE_INFINITY);
    for (byte index = 0; index < unit.size(); index++) {
      double own = unit.get(index).cost();
      int taken = Math.min(before.length, steps(unit, index, step));
      for (int spent = taken; spent < costs.length; spent++) {
        double cost = before[spent - taken] + own;
        if (cost < costs[spent]) {
          costs[spent] = cost;
          chosen[spent] = index;
        }
      }
    }
    return costs;
  }

  /** What a setting takes beyond the first. */
  private static int steps(List<Rung> unit, int index, long step) {
    long more = unit.get(index).bytes() - unit.getFirst().bytes();
    return (int) Math.min(Integer.MAX_VALUE, Math.ceilDiv(more, step));
  }
}
