package dev.gptq.quantizer.tune;

import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.models.chat.ChatTurns;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;

/**
 * Which tokens of a window are given to the model that writes it: its beginning, and in a
 * conversation what stands between the turns.
 */
final class Script {
  private final Optional<ChatTurns> turns;
  private final Queue<Integer> given = new ArrayDeque<>();
  private boolean answering;

  private Script(Optional<ChatTurns> turns, ImmutableIntArray beginning) {
    this.turns = turns;
    give(beginning);
  }

  /** One that goes on from a beginning. */
  static Script from(ImmutableIntArray beginning) {
    return new Script(Optional.empty(), beginning);
  }

  /** A conversation of which the model writes both sides. */
  static Script of(ChatTurns turns) {
    return new Script(Optional.of(turns), turns.opening());
  }

  /** Whether the next token is given. */
  boolean gives() {
    return !given.isEmpty();
  }

  /**
   * The next token.
   *
   * @param drawn what the model says, which counts if none is given
   */
  int next(int drawn) {
    if (gives()) {
      return given.remove();
    }
    if (turns.isPresent()) {
      ImmutableIntArray between = answering ? turns.get().toQuestion() : turns.get().toAnswer();
      if (between.get(0) == drawn) {
        give(between.subArray(1, between.length()));
        answering = !answering;
      }
    }
    return drawn;
  }

  private void give(ImmutableIntArray tokens) {
    tokens.forEach(given::add);
  }
}
