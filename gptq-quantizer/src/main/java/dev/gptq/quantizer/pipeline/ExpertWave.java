package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.Step;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * Which experts are quantized together. Their Hessians and the rows that were gathered for them are
 * held at the same time, so that there are as many as
 *
 * <ul>
 *   <li>take {@value #HESSIAN_BYTES} bytes of Hessians: larger experts fill a device alone;
 *   <li>get no more rows than there are calibration tokens: no more than the widest activation
 *       outside of experts;
 *   <li>would get all of these if tokens went to all experts alike: no more of them are rehearsed.
 * </ul>
 *
 * This depends on the model and the text and not on how many are solved at a time, so that the
 * order of quantization is always the same.
 */
final class ExpertWave {
  static final long HESSIAN_BYTES = 512L << 20;

  private ExpertWave() {}

  /**
   * The end of the wave that begins with a stretch; a stretch between experts is one of its own.
   *
   * @param rows calibration tokens that chose an expert
   * @param tokens all of them
   */
  static int end(
      List<Stretch> stretches,
      int first,
      List<Step> steps,
      ToLongFunction<Step.Gather> rows,
      long tokens) {
    int end = first;
    int most = 1;
    long bytes = 0;
    long gathered = 0;
    while (end < stretches.size() && stretches.get(end).isExpert()) {
      Stretch expert = stretches.get(end);
      Step.Gather gather = expert.gather().orElseThrow();
      most = Math.max(most, alike(gather, steps));
      bytes += hessianBytes(expert, steps);
      gathered += rows.applyAsLong(gather);
      if (end > first && (bytes > HESSIAN_BYTES || gathered > tokens || end - first >= most)) {
        break;
      }
      end++;
    }
    return Math.max(end, first + 1);
  }

  /** Experts that would get as many rows as there are tokens, if all got the same. */
  private static int alike(Step.Gather gather, List<Step> steps) {
    return steps.stream()
        .filter(step ->
            step instanceof Step.Route route && route.router().out().equals(gather.routes()))
        .map(Step.Route.class::cast)
        .mapToInt(route -> route.router().outputs() / route.routing().chosen())
        .max()
        .orElse(1);
  }

  /** Bytes of the largest Hessian of a stretch. */
  static long hessianBytes(Stretch expert, List<Step> steps) {
    return expert.groups(steps).stream()
        .map(i -> ((Step.Linears) steps.get(i)).modules().getFirst().inputs())
        .mapToLong(inputs -> (long) Float.BYTES * inputs * inputs)
        .max()
        .orElse(0);
  }
}
