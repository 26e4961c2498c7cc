package dev.gptq.models.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.models.family.Routing;
import dev.gptq.models.family.Routing.Groups;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class RoutesTest {
  private static final int EXPERTS = 13;
  private static final int CHOSEN = 4;

  /** Few different numbers, so that many are equal. */
  private static float[] logits(int tokens) {
    SplittableRandom random = new SplittableRandom(5);
    float[] logits = new float[tokens * EXPERTS];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = random.nextInt(-3, 4);
    }
    return logits;
  }

  private static List<Integer> largest(float[] logits, int token) {
    return IntStream.range(0, EXPERTS)
        .boxed()
        .sorted(Comparator.comparingDouble(e -> -logits[token * EXPERTS + e]))
        .limit(CHOSEN)
        .toList();
  }

  @Test
  void tokensGoToTheExpertsWithTheLargestLogitsTheFirstOfEqualOnes() {
    float[] logits = logits(50);
    Routes routes = Routes.of(logits, Routing.softmax(CHOSEN, true), new float[EXPERTS]);
    for (int t = 0; t < 50; t++) {
      int token = t;
      assertThat(
              IntStream.range(0, EXPERTS)
                  .filter(e -> routes.experts().get(e).tokens().contains(token)))
          .containsExactlyInAnyOrderElementsOf(largest(logits, t));
    }
  }

  @Test
  void weightsAreTheSoftmaxOverAllOrOverTheChosen() {
    float[] logits = logits(50);
    for (boolean normalised : new boolean[] {true, false}) {
      Routes routes = Routes.of(logits, Routing.softmax(CHOSEN, normalised), new float[EXPERTS]);
      for (int t = 0; t < 50; t++) {
        int row = t * EXPERTS;
        List<Integer> summed =
            normalised ? largest(logits, t) : IntStream.range(0, EXPERTS).boxed().toList();
        double sum = summed.stream().mapToDouble(e -> Math.exp(logits[row + e])).sum();
        for (int e : largest(logits, t)) {
          Routes.Expert expert = routes.experts().get(e);
          int at = expert.tokens().indexOf(t);
          assertThat(expert.weights().get(at))
              .isCloseTo(Math.exp(logits[row + e]) / sum, within(1e-12));
        }
      }
    }
  }

  /** Of the sum of weights times given numbers, where logits are far enough from each other. */
  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    float[] gains = new float[EXPERTS];
    for (int e = 0; e < EXPERTS; e++) {
      gains[e] = 1 + 0.1f * e;
    }
    for (Routing routing :
        List.of(
            Routing.softmax(CHOSEN, true).withScaling(2),
            Routing.softmax(CHOSEN, false),
            new Routing(CHOSEN, Routing.Score.SIGMOID, true, 3, Optional.empty(), Groups.NONE),
            new Routing(CHOSEN, Routing.Score.SIGMOID, false, 1, Optional.empty(), Groups.NONE),
            Routing.oneByOne(0.26))) {
      SplittableRandom random = new SplittableRandom(8);
      float[] logits = new float[EXPERTS];
      float[] numbers = new float[EXPERTS];
      for (int e = 0; e < EXPERTS; e++) {
        logits[e] = 0.37f * (e * 5 % EXPERTS - 6);
        numbers[e] = (float) random.nextDouble(-1, 1);
      }
      float[] gradient = Routes.gradient(logits, numbers, routing, new float[EXPERTS], gains);
      for (int e = 0; e < EXPERTS; e++) {
        float step = 0x1p-8f;
        float[] more = logits.clone();
        float[] less = logits.clone();
        more[e] += step;
        less[e] -= step;
        double slope =
            (loss(more, numbers, routing, gains) - loss(less, numbers, routing, gains))
                / ((double) more[e] - less[e]);
        assertThat((double) gradient[e]).as("%s, %s", routing, e).isCloseTo(slope, within(1e-4));
      }
    }
  }

  private static double loss(float[] logits, float[] numbers, Routing routing, float[] gains) {
    Routes routes = Routes.of(logits, routing, new float[EXPERTS], gains);
    return IntStream.range(0, EXPERTS)
        .mapToDouble(e -> numbers[e] * routes.experts().get(e).weights().stream().sum())
        .sum();
  }

  /** The correction decides who is chosen, not what the outputs are multiplied by. */
  @Test
  void correctionsOnlyChoose() {
    Routing routing =
        new Routing(1, Routing.Score.SIGMOID, false, 3, Optional.of("c"), Groups.NONE);
    Routes routes =
        Routes.of(new float[] {1, 0, -1}, routing, new float[] {0, 0, 9}, new float[] {1, 1, 2});
    assertThat(routes.experts().get(2).weights().get(0)).isCloseTo(6 / (1 + Math.E), within(1e-12));
    assertThat(routes.experts().get(0).tokens().isEmpty()).isTrue();
  }

  /** The first of 2, 1.9 and −3 is weighed against the second, the second against none. */
  @Test
  void expertsOneByOneAreWeighedAgainstThoseThatAreClose() {
    Routing routing =
        new Routing(
            2,
            Routing.Score.ONE_BY_ONE,
            false,
            1,
            Optional.empty(),
            Optional.empty(),
            Groups.NONE,
            0.06);
    Routes routes = Routes.of(new float[] {1.9f, -3, 2}, routing, new float[3]);
    assertThat(routes.experts().get(2).weights().get(0))
        .isCloseTo(1 / (1 + Math.exp(-0.1)), within(1e-6));
    assertThat(routes.experts().get(0).weights().get(0)).isCloseTo(1, within(1e-12));
    assertThat(routes.experts().get(1).tokens().isEmpty()).isTrue();
  }

  /** The best expert is alone in its group; the other group has the best two. */
  @Test
  void onlyTheBestGroupsRemain() {
    float[] logits = {5, -9, 4, 3};
    for (Groups.Ranking ranking : Groups.Ranking.values()) {
      Routing routing =
          new Routing(
              1, Routing.Score.SIGMOID, true, 1, Optional.empty(), new Groups(2, 1, ranking));
      Routes routes = Routes.of(logits, routing, new float[4]);
      int expected = ranking == Groups.Ranking.BEST ? 0 : 2;
      assertThat(routes.experts().get(expected).tokens().asList()).containsExactly(0);
      assertThat(routes.experts().get(expected).weights().get(0)).isCloseTo(1, within(1e-12));
    }
  }
}
