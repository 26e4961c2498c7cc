package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.SideLane;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Future;

/**
 * Brings the weights of blocks into the memory of one device, as they are stored, while it works on
 * the block before. Where the activation type rounds them they stay until the next block is loaded,
 * so that a solve, which takes them as they are stored, need not bring them again.
 *
 * <p>One thread at a time may use it.
 */
final class UpcomingWeights implements AutoCloseable {

  /** Weights of a block in a scope of the lane. */
  private record Arrived(int block, TensorScope scope, ImmutableMap<String, Tensor> tensors) {}

  /** Weights that are on their way. */
  private record Coming(int block, Future<Arrived> weights) {}

  private final SideLane lane;
  private final DecoderSpec spec;
  private final WeightSource source;
  private Optional<Coming> coming = Optional.empty();

  /** What was given to load a block with: the last, and until that is loaded the one before. */
  private final List<Arrived> here = new ArrayList<>();

  /**
   * Without any yet.
   *
   * @param device its number, for the name of the thread
   */
  UpcomingWeights(int device, Backend backend, DecoderSpec spec, WeightSource source) {
    this.lane = new SideLane("gptq-weights-" + device, backend);
    this.spec = spec;
    this.source = source;
  }

  /**
   * Begins to bring the weights of a block, and gives up those of another that nobody asked for.
   */
  void start(int block) {
    if (coming.filter(other -> other.block() == block).isPresent()) {
      return;
    }
    giveUp();
    coming =
        Optional.of(
            new Coming(
                block,
                lane.start(backend ->
                    Holdings.allOrNothing(taken -> {
                      TensorScope scope = taken.add(backend.newScope(), TensorScope::close);
                      return new Arrived(
                          block, scope, source.bring(spec.blocks().get(block), scope));
                    }))));
  }

  /**
   * The weights of a block by the names of their tensors, to load it with; waits for them. {@link
   * #loaded} is called next.
   */
  ImmutableMap<String, Tensor> of(int block) {
    start(block);
    Arrived arrived = SideLane.result(coming.orElseThrow().weights());
    coming = Optional.empty();
    here.add(arrived);
    return arrived.tensors();
  }

  /**
   * Says that the block of the last weights has been loaded, and that the device was waited for
   * since: gives back what nobody will read any more.
   */
  void loaded() {
    Arrived last = here.getLast();
    boolean kept = source.rounds(spec.blocks().get(last.block()));
    List<Arrived> old = kept ? here.subList(0, here.size() - 1) : here;
    giveBack(List.copyOf(old));
    old.clear();
  }

  private void giveBack(List<Arrived> old) {
    lane.run(backend -> {
      old.forEach(weights -> weights.scope().close());
      return backend;
    });
  }

  /** Gives back what is on its way, once it has come or failed. */
  private void giveUp() {
    coming.ifPresent(unwanted ->
        lane.run(backend -> {
          if (unwanted.weights().state() == Future.State.SUCCESS) {
            unwanted.weights().resultNow().scope().close();
          }
          return backend;
        }));
    coming = Optional.empty();
  }

  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      all.add(lane::close);
      all.add(() -> giveBack(here));
      all.add(this::giveUp);
    }
  }
}
