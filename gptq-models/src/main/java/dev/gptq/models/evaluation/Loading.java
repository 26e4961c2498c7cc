package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.forward.BlockwiseDecoder;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.TextModel;
import dev.gptq.pack.PackedMatrix;
import java.util.List;
import java.util.function.Consumer;

/** How much of the weights of a model that is measured is in a backend's memory. */
public enum Loading {
  /** All where they fit, else those of a block at a time. */
  AUTO,
  /** All, so that a model is loaded once however often it is run. */
  WHOLE,
  /** Those of a block at a time: a model can be larger than the memory. */
  BLOCKS;

  /**
   * This, with {@link #AUTO} decided.
   *
   * @param models those that are to be in memory together
   * @param windows what they will read
   * @param notes hears if they do not fit whole
   * @throws dev.gptq.tensor.OutOfMemoryException if not even block by block there is room
   */
  public Loading resolve(
      Backend backend, List<Model> models, List<int[]> windows, Consumer<String> notes) {
    ImmutableList<WeightSize> sizes =
        models.stream()
            .map(model -> WeightSize.of(backend, model))
            .collect(ImmutableList.toImmutableList());
    long room = backend.memory().most() - backend.memory().live();
    String device = backend.info().device();
    Loading resolved = resolve(sizes, windows, room, device);
    if (this == AUTO && resolved == BLOCKS) {
      notes.accept(
          "%d MiB of weights do not fit into the %d MiB of %s: models are measured block by block"
              .formatted(whole(sizes) >> 20, room >> 20, device));
    }
    return resolved;
  }

  /** The same for so many bytes of room on a device. */
  Loading resolve(List<WeightSize> sizes, List<int[]> windows, long room, String device) {
    long batch = sizes.stream().mapToLong(size -> size.batch(windows)).max().orElseThrow();
    if (this == WHOLE || (this == AUTO && whole(sizes) + batch <= room)) {
      return WHOLE;
    }
    WeightSize.requireBlocks(sizes, windows, room, device);
    return BLOCKS;
  }

  private static long whole(List<WeightSize> sizes) {
    return sizes.stream().mapToLong(WeightSize::whole).sum();
  }

  /**
   * Loads a model, or gets ready to load its blocks, as {@link #resolve} decided.
   *
   * @param replaced packed weights in place of some modules'
   */
  public TextModel load(Backend backend, Model model, ImmutableMap<String, PackedMatrix> replaced) {
    return switch (this) {
      case WHOLE -> new Decoder(backend, model.spec(), model.storedWeights(backend, replaced));
      case BLOCKS ->
          new BlockwiseDecoder(backend, model.spec(), model.storedWeights(backend, replaced));
      case AUTO -> throw new IllegalStateException("whether it fits is not decided yet");
    };
  }
}
