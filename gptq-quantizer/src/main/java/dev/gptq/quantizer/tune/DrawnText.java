package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Lists;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.forward.Decoder;
import dev.gptq.quantizer.pipeline.DrawnLabels;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/**
 * More text to tune with than there is: copies of windows in which some tokens are what the model
 * itself would have said there. A quantized model is to answer as the full-precision one does
 * whatever it reads, so that text need not be true, only likely; read again and again as it is, a
 * short one is learnt by heart.
 */
final class DrawnText {
  /** Part of the tokens that are replaced. */
  private static final double SHARE = 0.15;

  private static final long SEED = 20_261_130L;

  private DrawnText() {}

  /**
   * Copies of all windows, of each as many; the same whenever it is asked for them.
   *
   * @param decoder the full-precision model
   * @param windows of equal length
   */
  static ImmutableList<int[]> of(Decoder decoder, ImmutableList<int[]> windows, int copies) {
    if (copies == 0) {
      return ImmutableList.of();
    }
    ImmutableList.Builder<int[]> drawn = ImmutableList.builder();
    SplittableRandom random = new SplittableRandom(SEED);
    int first = 0;
    for (List<int[]> some : Lists.partition(windows, Tuning.WINDOWS)) {
      int[][] said = said(decoder, some, copies, first);
      for (int[] words : said) {
        for (int i = 0; i < some.size(); i++) {
          drawn.add(mixed(some.get(i), words, i * some.get(i).length, random));
        }
      }
      first += some.size() * some.getFirst().length;
      if (decoder.backend() instanceof Rehearsal) {
        // All batches take the same memory, and nothing looks at what was drawn.
        windows
            .subList(some.size(), windows.size())
            .forEach(window -> drawn.addAll(Collections.nCopies(copies, window)));
        break;
      }
    }
    return drawn.build();
  }

  /** What the model says behind each position of some windows, as often as asked. */
  private static int[][] said(Decoder decoder, List<int[]> windows, int times, int first) {
    Backend backend = decoder.backend();
    try (TensorScope local = backend.newScope()) {
      Tensor stream = decoder.stream(windows, local);
      int[][] said = new int[times][stream.rows()];
      decoder.forRuns(
          stream.rows(),
          (from, to) -> {
            try (TensorScope run = backend.newScope()) {
              Tensor logits = decoder.logitsOf(stream.rows(from, to), run);
              for (int time = 0; time < times; time++) {
                Tensor labels = DrawnLabels.of(backend, logits, time, first + from, run);
                System.arraycopy(HostCopies.ints(labels), 0, said[time], from, to - from);
              }
            }
          });
      return said;
    }
  }

  /** A window with some tokens but the first replaced by what was said behind the token before. */
  private static int[] mixed(int[] window, int[] said, int from, SplittableRandom random) {
    int[] mixed = window.clone();
    for (int t = 1; t < mixed.length; t++) {
      if (random.nextDouble() < SHARE) {
        mixed[t] = said[from + t - 1];
      }
    }
    return mixed;
  }
}
