package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableIntArray;
import com.google.common.primitives.Ints;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.chat.ChatTurns;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Decoder;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * More text to tune with than there is: windows that the full-precision model writes, which goes on
 * from the first tokens of the text's windows and draws each token from its own predictions. A
 * quantized model is to answer as the full-precision one does whatever it reads, so that text need
 * not be true, only likely; read again and again, a short one is learnt by heart. Where no document
 * of the text ends within its windows, none of the model's does: behind an end it would begin
 * another, of any kind that it was trained with.
 *
 * <p>Or they are conversations, of which the model writes questions and answers: what a model that
 * answers is asked for is seldom how a text goes on.
 */
final class WrittenText {
  /** Tokens that are taken from the text. */
  static final int PREFIX = 16;

  /**
   * Windows that are written side by side at most: a GPU waits for its kernels to be launched with
   * fewer, a CPU, which computes in float32, gains nothing from more.
   */
  private static final int MOST_BESIDE = 512;

  private static final int MOST_BESIDE_F32 = 64;

  /** Bytes of their keys and values at most, or as many as the weights have. */
  private static final long MOST_BYTES = 1L << 31;

  /** A logit of a token that has no part in the probabilities. */
  private static final float IMPOSSIBLE = -1e30f;

  private static final long SEED = 20_261_130L;

  private WrittenText() {}

  /**
   * Writes windows; the same whenever it is asked for them.
   *
   * @param decoder the full-precision model
   * @param windows of equal length, whose beginnings are taken in turn
   * @param chats what stands around the turns if they are to be conversations
   */
  static ImmutableList<int[]> of(
      Decoder decoder, ImmutableList<int[]> windows, int count, Optional<ChatTurns> chats) {
    int length = windows.getFirst().length;
    int[][] written = new int[count][length];
    int[] never =
        decoder.spec().endTokens().stream()
            .mapToInt(Integer::intValue)
            .filter(end -> end < decoder.spec().vocabulary())
            .filter(end -> !isRead(end, windows, chats))
            .sorted()
            .toArray();
    int prefix = Math.clamp(length / 2, 1, PREFIX);
    int most = beside(decoder, length);
    int batches = Math.ceilDiv(count, most);
    for (int batch = 0; batch < batches; batch++) {
      int from = (int) ((long) count * batch / batches);
      int to = (int) ((long) count * (batch + 1) / batches);
      List<Script> scripts = new ArrayList<>();
      for (int i = from; i < to; i++) {
        int[] window = windows.get(i % windows.size());
        scripts.add(
            chats
                .map(Script::of)
                .orElseGet(
                    () -> Script.from(ImmutableIntArray.copyOf(Arrays.copyOf(window, prefix)))));
      }
      write(decoder, scripts, Arrays.asList(written).subList(from, to), from, never);
      if (decoder.backend() instanceof Rehearsal) {
        // All batches take the same memory.
        break;
      }
    }
    return ImmutableList.copyOf(written);
  }

  /** Whether the end of a text may stand within a window. */
  private static boolean isRead(int end, ImmutableList<int[]> windows, Optional<ChatTurns> chats) {
    return chats
        .map(turns -> turns.toAnswer().get(0) == end || turns.toQuestion().get(0) == end)
        .orElseGet(() -> windows.stream().anyMatch(window -> Ints.contains(window, end)));
  }

  /** Windows side by side. */
  private static int beside(Decoder decoder, int length) {
    DType type = decoder.backend().activationType();
    long position = 0;
    for (BlockSpec block : decoder.spec().blocks()) {
      for (Step step : block.steps()) {
        if (step instanceof Step.Attention attention) {
          AttentionSpec spec = attention.spec();
          position += 2L * spec.keyValueHeads() * spec.headSize();
        }
      }
    }
    long elements = Math.max(MOST_BYTES / type.bytes(), decoder.spec().linearWeights());
    long most = type == DType.F32 ? MOST_BESIDE_F32 : MOST_BESIDE;
    return Math.toIntExact(Math.clamp(elements / (position * length), 1, most));
  }

  /**
   * Writes windows, one for each script.
   *
   * @param first index of the first among all of them
   * @param never tokens that are not drawn
   */
  private static void write(
      Decoder decoder, List<Script> scripts, List<int[]> windows, int first, int[] never) {
    Backend backend = decoder.backend();
    int length = windows.getFirst().length;
    int[] tokens = new int[scripts.size()];
    begin(scripts, tokens, windows);
    try (Decoder.Sequences sequences = decoder.newSequences(windows.size(), length);
        TensorScope scope = backend.newScope()) {
      Tensor impossible = scope.filled(IMPOSSIBLE, windows.size(), 1);
      for (int position = 1; position < length; position++) {
        try (TensorScope local = backend.newScope()) {
          Tensor logits = sequences.append(tokens.clone(), local);
          int[] drawn = tokens;
          if (!scripts.stream().allMatch(Script::gives)) {
            for (int token : never) {
              backend.linalg().convert(impossible, logits.columns(token, token + 1));
            }
            drawn = drawn(backend, logits, (long) first * length + position, length);
          }
          for (int i = 0; i < tokens.length; i++) {
            tokens[i] = scripts.get(i).next(drawn[i]);
            windows.get(i)[position] = tokens[i];
          }
        }
        if (backend instanceof Rehearsal) {
          // The room for all positions is taken with the first.
          return;
        }
      }
    }
  }

  /** The first token of each window, which is given. */
  private static void begin(List<Script> scripts, int[] tokens, List<int[]> windows) {
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = scripts.get(i).next(0);
      windows.get(i)[0] = tokens[i];
    }
  }

  /** What a token is drawn with: at least 0 and less than 1, and the same for the same place. */
  static float uniform(long place) {
    return new SplittableRandom(SEED + place).nextInt(1 << 24) * 0x1p-24f;
  }

  /** Draws a token for each sequence; places are those of these tokens among all of them. */
  private static int[] drawn(Backend backend, Tensor logits, long firstPlace, int distance) {
    float[] uniform = new float[logits.rows()];
    for (int i = 0; i < uniform.length; i++) {
      uniform[i] = uniform(firstPlace + (long) i * distance);
    }
    try (TensorScope local = backend.newScope()) {
      Tensor targets = local.rowMajor(DType.I32, 1, uniform.length);
      backend.gradients().sample(logits, local.upload(uniform), targets);
      return HostCopies.ints(targets);
    }
  }
}
