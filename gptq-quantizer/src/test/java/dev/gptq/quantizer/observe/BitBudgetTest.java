package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.observe.BitBudget.Rung;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class BitBudgetTest {

  private static List<ImmutableList<Rung>> random(SplittableRandom random) {
    List<ImmutableList<Rung>> units = new ArrayList<>();
    for (int unit = 0; unit < 5; unit++) {
      double scale = random.nextDouble(0.1, 10);
      units.add(
          ImmutableList.of(
              new Rung(1000, scale),
              new Rung(1100, scale * random.nextDouble(0.7, 1.1)),
              new Rung(1300, scale * random.nextDouble(0.5, 0.9)),
              new Rung(2000, scale * random.nextDouble(0.001, 0.01))));
    }
    return units;
  }

  private static double cost(List<ImmutableList<Rung>> units, List<Integer> chosen) {
    double sum = 0;
    for (int unit = 0; unit < chosen.size(); unit++) {
      sum += units.get(unit).get(chosen.get(unit)).cost();
    }
    return sum;
  }

  private static long bytes(List<ImmutableList<Rung>> units, List<Integer> chosen) {
    long sum = 0;
    for (int unit = 0; unit < chosen.size(); unit++) {
      sum += units.get(unit).get(chosen.get(unit)).bytes();
    }
    return sum;
  }

  /** The least cost of all choices that fit. */
  private static double best(List<ImmutableList<Rung>> units, int from, long bytes) {
    if (from == units.size()) {
      return bytes >= 0 ? 0 : Double.POSITIVE_INFINITY;
    }
    double best = Double.POSITIVE_INFINITY;
    for (Rung rung : units.get(from)) {
      best = Math.min(best, rung.cost() + best(units, from + 1, bytes - rung.bytes()));
    }
    return best;
  }

  @Test
  void isTheBestChoice() {
    SplittableRandom random = new SplittableRandom(7);
    for (int run = 0; run < 200; run++) {
      List<ImmutableList<Rung>> units = random(random);
      long budget = random.nextLong(5000, 10_000);
      List<Integer> chosen = BitBudget.choose(units, budget);
      assertThat(bytes(units, chosen)).isLessThanOrEqualTo(budget);
      assertThat(cost(units, chosen)).isEqualTo(best(units, 0, budget), within(1e-12));
    }
  }

  /** More bytes than are counted one by one. */
  @Test
  void bytesOfLargeModelsAreKeptAndSpent() {
    SplittableRandom random = new SplittableRandom(8);
    for (int run = 0; run < 20; run++) {
      List<ImmutableList<Rung>> units =
          random(random).stream()
              .map(unit ->
                  unit.stream()
                      .map(rung -> new Rung(1_000_003 * rung.bytes(), rung.cost()))
                      .collect(ImmutableList.toImmutableList()))
              .toList();
      long budget = random.nextLong(5_000_000_000L, 10_000_000_000L);
      List<Integer> chosen = BitBudget.choose(units, budget);
      assertThat(bytes(units, chosen)).isLessThanOrEqualTo(budget);
      assertThat(cost(units, chosen))
          .isBetween(
              best(units, 0, budget) * (1 - 1e-12),
              best(units, 0, budget - budget / 5000) * (1 + 1e-12));
    }
  }

  @Test
  void everythingFitsOrNothing() {
    List<ImmutableList<Rung>> units = random(new SplittableRandom(1));
    assertThat(BitBudget.choose(units, Long.MAX_VALUE)).containsOnly(3);
    assertThat(BitBudget.choose(units, 0)).containsOnly(0);
  }

  @Test
  void whatIsWorseIsNeverChosen() {
    ImmutableList<Rung> unit = ImmutableList.of(new Rung(1000, 1), new Rung(2000, 1.5));
    assertThat(BitBudget.choose(List.of(unit), Long.MAX_VALUE)).containsExactly(0);
  }

  @Test
  void bytesGoWhereTheyTakeOffMost() {
    ImmutableList<Rung> flat = ImmutableList.of(new Rung(1000, 1), new Rung(1100, 0.9));
    ImmutableList<Rung> steep = ImmutableList.of(new Rung(1000, 1), new Rung(1100, 0.2));
    assertThat(BitBudget.choose(List.of(flat, steep), 2150)).containsExactly(0, 1);
  }
}
