package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class BitBudgetTest {
  private static final List<Double> EQUAL = Collections.nCopies(5, 1.0);

  private static Candidate candidate(int index, Precision precision, double error) {
    String name = "mlp.m" + index;
    LinearSpec module = new LinearSpec(name, "y", 512, 512, false);
    Unit unit =
        new Unit(
            0,
            new BlockSpec("layers.0.", ImmutableList.of()),
            ImmutableList.of(new Unit.Input(0, ImmutableList.of(module))),
            false);
    ModuleReport report =
        new ModuleReport(
            0,
            name,
            "layers.0." + name,
            512,
            512,
            precision.bits(),
            precision.groupSize(),
            true,
            error,
            error,
            1,
            1,
            0.01,
            9,
            "",
            1);
    return new Candidate(unit, precision, ImmutableList.of(report));
  }

  private static List<ImmutableList<Candidate>> random(SplittableRandom random) {
    List<ImmutableList<Candidate>> tried = new ArrayList<>();
    for (int unit = 0; unit < 5; unit++) {
      double scale = random.nextDouble(0.1, 10);
      tried.add(
          ImmutableList.of(
              candidate(unit, new Precision(4, 128), scale),
              candidate(unit, new Precision(4, 64), scale * random.nextDouble(0.7, 1.1)),
              candidate(unit, new Precision(4, 32), scale * random.nextDouble(0.5, 0.9)),
              candidate(unit, new Precision(8, 128), scale * random.nextDouble(0.001, 0.01))));
    }
    return tried;
  }

  private static double error(List<Candidate> chosen, List<Double> weights) {
    double sum = 0;
    for (int unit = 0; unit < chosen.size(); unit++) {
      sum += weights.get(unit) * chosen.get(unit).relativeError();
    }
    return sum;
  }

  private static long bytes(List<Candidate> chosen) {
    return chosen.stream().mapToLong(Candidate::bytes).sum();
  }

  /** The least error of all choices that fit. */
  private static double best(
      List<ImmutableList<Candidate>> tried, List<Double> weights, int from, long bytes) {
    if (from == tried.size()) {
      return bytes >= 0 ? 0 : Double.POSITIVE_INFINITY;
    }
    double best = Double.POSITIVE_INFINITY;
    for (Candidate candidate : tried.get(from)) {
      double rest = best(tried, weights, from + 1, bytes - candidate.bytes());
      best = Math.min(best, weights.get(from) * candidate.relativeError() + rest);
    }
    return best;
  }

  @Test
  void isWithinOneStepOfTheBestChoice() {
    SplittableRandom random = new SplittableRandom(7);
    for (int run = 0; run < 200; run++) {
      List<ImmutableList<Candidate>> tried = random(random);
      long least = bytes(tried.stream().map(ImmutableList::getFirst).toList());
      long most = bytes(tried.stream().map(ImmutableList::getLast).toList());
      long budget = random.nextLong(least, most);
      List<Double> weights = random.doubles(tried.size(), 0, 3).boxed().toList();
      List<Candidate> chosen = BitBudget.choose(tried, weights, budget);
      assertThat(bytes(chosen)).isLessThanOrEqualTo(budget);
      double largestStep =
          tried.stream()
              .mapToDouble(unit -> 3 * unit.getFirst().relativeError())
              .max()
              .orElseThrow();
      double best = best(tried, weights, 0, budget);
      assertThat(error(chosen, weights)).isBetween(best * (1 - 1e-12), best + largestStep);
    }
  }

  @Test
  void everythingFitsOrNothing() {
    List<ImmutableList<Candidate>> tried = random(new SplittableRandom(1));
    assertThat(BitBudget.choose(tried, EQUAL, Long.MAX_VALUE))
        .allMatch(candidate -> candidate.precision().equals(new Precision(8, 128)));
    assertThat(BitBudget.choose(tried, EQUAL, 0))
        .allMatch(candidate -> candidate.precision().equals(new Precision(4, 128)));
  }

  @Test
  void whatIsWorseIsNeverChosen() {
    ImmutableList<Candidate> unit =
        ImmutableList.of(
            candidate(0, new Precision(4, 128), 1), candidate(0, new Precision(8, 128), 1.5));
    assertThat(BitBudget.choose(List.of(unit), EQUAL, Long.MAX_VALUE))
        .containsExactly(unit.getFirst());
  }
}
