package dev.gptq.models.text;

import dev.gptq.models.Model;
import java.util.OptionalInt;
import java.util.function.Consumer;

/** How many tokens a window has. */
public final class WindowLength {
  private WindowLength() {}

  /**
   * As many as were asked for, or the usual number, but no more than the model's context.
   *
   * @param notes hears where more were asked for than the context has
   */
  public static int of(OptionalInt asked, int usual, Model model, Consumer<String> notes) {
    int context = model.spec().context();
    if (asked.orElse(0) > context) {
      notes.accept(
          "windows of %d tokens are cut to %s; give --seq-len %d"
              .formatted(asked.getAsInt(), model.contextInWords(), context));
    }
    return Math.min(asked.orElse(usual), context);
  }
}
