package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.WeightSource;
import java.util.Optional;

/**
 * The weights of the first block, which are on their way to the first device while a run is still
 * being rehearsed. They are held as those that come {@linkplain Weights#AHEAD ahead} are, only from
 * earlier on, while nothing but the {@linkplain FirstCalls first calls} is on the device: a job
 * whose weights come ahead takes them over; before any other they are given back.
 */
public final class FirstWeights implements AutoCloseable {
  /** They take no more than this part of what a device has room for. */
  private static final long PART = 16;

  private Optional<UpcomingWeights> upcoming;

  private FirstWeights(Optional<UpcomingWeights> upcoming) {
    this.upcoming = upcoming;
  }

  /** None, which leaves everything to the job. */
  public static FirstWeights none() {
    return new FirstWeights(Optional.empty());
  }

  /**
   * Begins to bring them, where the backend copies beside its work and they are small beside it.
   */
  public static FirstWeights begin(Backend backend, DecoderSpec spec, WeightSource source) {
    if (backend instanceof Rehearsal
        || !backend.copiesBesideWork()
        || source.bytesToBring(spec.blocks().getFirst()) > backend.memory().most() / PART) {
      return none();
    }
    UpcomingWeights first = new UpcomingWeights(0, backend, spec, source);
    first.start(0);
    return new FirstWeights(Optional.of(first));
  }

  /** Hands them over, with what is to bring those of the other blocks; whoever asks closes it. */
  Optional<UpcomingWeights> take() {
    Optional<UpcomingWeights> taken = upcoming;
    upcoming = Optional.empty();
    return taken;
  }

  /** Gives them back before the end, where nobody will take them over. */
  public void giveBack() {
    close();
  }

  /** Gives them back, unless they were handed over. */
  @Override
  public void close() {
    take().ifPresent(UpcomingWeights::close);
  }
}
