package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Which layers mlx-lm gives a sliding window, by types of models. Types that are not named have
 * none there, whatever their configuration says, and longer texts are computed otherwise without a
 * word. Read in mlx-lm 0.32 and seen there with texts longer than the window.
 */
final class MlxWindows {
  /** What it takes the layers to be like. */
  private enum Layers {
    /** With and without a window in any order, and at least one without. */
    MIXED,
    /** The layers without one at equal distances. */
    PERIODIC
  }

  private static final ImmutableMap<String, Layers> TYPES =
      ImmutableMap.<String, Layers>builder()
          .put("afmoe", Layers.MIXED)
          .put("cohere2", Layers.PERIODIC)
          .put("exaone4", Layers.MIXED)
          .put("exaone_moe", Layers.MIXED)
          .put("gemma3_text", Layers.PERIODIC)
          .put("gemma4_text", Layers.MIXED)
          .put("gpt_oss", Layers.MIXED)
          .put("ministral3", Layers.MIXED)
          .put("mistral", Layers.MIXED)
          .put("olmo3", Layers.MIXED)
          .put("smollm3", Layers.MIXED)
          .buildOrThrow();

  private MlxWindows() {}

  /** Why mlx-lm computes something else of texts longer than a window, if it does. */
  static Optional<String> refusal(Served what) {
    ImmutableList<Integer> windows = what.windows();
    if (windows.stream().noneMatch(window -> window > 0)) {
      return Optional.empty();
    }
    Layers layers = TYPES.get(what.type());
    if (layers == null) {
      return Optional.of(
          "has no sliding window for %s and computes longer texts otherwise"
              .formatted(what.type()));
    }
    if (layers == Layers.PERIODIC) {
      return isPeriodic(windows)
          ? Optional.empty()
          : Optional.of(
              "takes layers of %s without a sliding window to come at equal distances and computes longer"
                      .formatted(what.type())
                  + " texts otherwise");
    }
    return windows.contains(0)
        ? Optional.empty()
        : Optional.of(
            "has no sliding window for %s in all layers and computes longer texts otherwise"
                .formatted(what.type()));
  }

  /** Whether every n-th layer is one without a window, and no other is. */
  private static boolean isPeriodic(ImmutableList<Integer> windows) {
    int every = windows.indexOf(0) + 1;
    return every > 1
        && IntStream.range(0, windows.size())
            .allMatch(layer -> (windows.get(layer) == 0) == ((layer + 1) % every == 0));
  }
}
