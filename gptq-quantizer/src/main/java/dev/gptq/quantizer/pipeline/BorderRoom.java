package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Holdings;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Borders;
import dev.gptq.models.forward.Decoder;
import dev.gptq.tensor.DType;
import java.util.List;

/**
 * Room for the residual stream before each block in the {@linkplain BackwardPass backward passes}
 * of a model, until it is closed. The gradients have the same bits wherever it is.
 */
public final class BorderRoom implements AutoCloseable {
  private final Decoder decoder;
  private final StateRoom room;
  private final Holdings holdings = new Holdings();

  /** No room taken yet. */
  public BorderRoom(Decoder decoder, BorderPlace place) {
    this.decoder = decoder;
    this.room = holdings.add(new StateRoom(place.where(), place.folder()), StateRoom::close);
  }

  /**
   * The backward pass of the model.
   *
   * @throws IllegalArgumentException if some of it has no derivative
   */
  public BackwardPass backward() {
    return room.isElsewhere() ? decoder.backward(elsewhere()) : decoder.backward();
  }

  private Borders elsewhere() {
    Backend backend = decoder.backend();
    return backend.copiesBesideWork()
        ? holdings.add(new BordersBeside(backend, room), BordersBeside::close)
        : new BordersElsewhere(backend, room);
  }

  /** Bytes of the streams of some windows before all blocks. */
  public static long bytes(DecoderSpec spec, List<int[]> windows, DType activations) {
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    return tokens * spec.hidden() * spec.blocks().size() * activations.bytes();
  }

  @Override
  public void close() {
    holdings.close();
  }
}
