package dev.gptq.quantizer.tune;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.models.chat.ChatTurns;
import java.util.List;
import java.util.Optional;

/**
 * The windows that a model is tuned with, all of one length.
 *
 * @param training those that gradients are taken of
 * @param heldOut those that tell when to stop
 * @param written how many windows more the model writes itself: see {@link WrittenText}
 * @param chats what stands around the turns if those are conversations
 */
public record TuningText(
    ImmutableList<int[]> training,
    ImmutableList<int[]> heldOut,
    int written,
    Optional<ChatTurns> chats) {
  private static final int SHARE = 10;

  /** Held-out windows at most: each is run through the model again and again. */
  private static final int MOST_HELD_OUT = 64;

  private static final int WEIGHTS_OF_TOKEN = 25;

  private static final int LEAST_WRITTEN = 512;

  /** The model writes one in so many of the windows that all steps read, at most. */
  private static final int WRITTEN_SHARE = 4;

  /** Checks that there are some. */
  public TuningText {
    Preconditions.checkArgument(
        !training.isEmpty() && !heldOut.isEmpty(), "no windows to tune with");
  }

  /** Holds out every tenth window, and at least the last; of many windows as many as are enough. */
  public static TuningText of(List<int[]> windows) {
    Preconditions.checkArgument(
        windows.size() > 1, "tuning holds out a tenth of its windows and needs at least two");
    ImmutableList.Builder<int[]> training = ImmutableList.builder();
    ImmutableList.Builder<int[]> heldOut = ImmutableList.builder();
    int distance = Math.max(SHARE, Math.ceilDiv(windows.size(), MOST_HELD_OUT));
    for (int i = 0; i < windows.size(); i++) {
      boolean last = i + 1 == windows.size() && windows.size() < SHARE;
      (last || i % distance == distance - 1 ? heldOut : training).add(windows.get(i));
    }
    return new TuningText(training.build(), heldOut.build(), 0, Optional.empty());
  }

  /**
   * The same with as many windows of the model's own as a tuning asks for. Where it does not say:
   * {@value #LEAST_WRITTEN}, or a token for every {@value #WEIGHTS_OF_TOKEN} weights if that is
   * more; but no more than would be read again, nor than a part of what all steps read, so that
   * writing takes little of the time.
   *
   * @param weights of the model's linear layers
   */
  public TuningText writtenFor(Tuning tuning, long weights) {
    long read = (long) tuning.steps() * Tuning.WINDOWS;
    long wanted = Math.max(LEAST_WRITTEN, weights / WEIGHTS_OF_TOKEN / length());
    long most = Math.clamp(read - training.size(), 0, read / WRITTEN_SHARE);
    int usual = Math.toIntExact(Math.min(wanted, most));
    return new TuningText(training, heldOut, tuning.written().orElse(usual), chats);
  }

  /** The same with conversations where the model writes. */
  public TuningText withChats(ChatTurns turns) {
    return new TuningText(training, heldOut, written, Optional.of(turns));
  }

  /** Windows with which none is taken twice. */
  public static int enough(Tuning tuning) {
    long training = (long) tuning.steps() * Tuning.WINDOWS;
    long heldOut = Math.min(MOST_HELD_OUT, training / (SHARE - 1) + 1);
    return (int) Math.min(Integer.MAX_VALUE, training + heldOut);
  }

  /** Tokens of all windows but those that the model writes. */
  public long tokens() {
    return (long) (training.size() + heldOut.size()) * length();
  }

  /** Tokens of a window. */
  public int length() {
    return training.getFirst().length;
  }
}
