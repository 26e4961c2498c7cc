package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A batch that comes to the device to be worked on, and lies in a {@link StateRoom} otherwise. It
 * is taken through whole blocks only, so that few activations have to come and go.
 */
final class BatchElsewhere implements WaitingBatch {
  private final Backend backend;
  private final StateRoom room;
  private final int number;
  private final int first;
  private final int sequences;

  /** By name, of the batch and of the full-precision model. */
  private final List<Map<String, RoomRows>> activations = new ArrayList<>();

  /** Puts a batch away, which is closed. */
  BatchElsewhere(Backend backend, StateRoom room, CalibrationBatch batch) {
    this.backend = backend;
    this.room = room;
    this.number = batch.number();
    this.first = batch.first();
    this.sequences = batch.sequences();
    WaitingBatch.activations(batch).forEach(registers -> activations.add(new HashMap<>()));
    try (batch) {
      put(batch);
    }
  }

  private void put(CalibrationBatch batch) {
    List<Registers> all = WaitingBatch.activations(batch).toList();
    for (int i = 0; i < all.size(); i++) {
      Map<String, RoomRows> kept = activations.get(i);
      Map<String, Tensor> held = all.get(i).tensors();
      kept.keySet().retainAll(held.keySet());
      held.forEach((name, tensor) -> {
        RoomRows rows = RoomRows.like(tensor, Optional.ofNullable(kept.get(name)), backend, room);
        rows.put(tensor);
        kept.put(name, rows);
      });
    }
  }

  private CalibrationBatch bring(TensorScope scope) {
    Optional<Registers> full =
        activations.size() > 1 ? Optional.of(bring(activations.get(1), scope)) : Optional.empty();
    return new CalibrationBatch(
        number, first, sequences, bring(activations.getFirst(), scope), full);
  }

  private Registers bring(Map<String, RoomRows> kept, TensorScope scope) {
    Registers registers = new Registers(backend, scope);
    kept.forEach((name, rows) -> registers.define(name, rows::bring));
    return registers;
  }

  @Override
  public int number() {
    return number;
  }

  @Override
  public void advance(Consumer<CalibrationBatch> work) {
    ahead(batch -> {
      work.accept(batch);
      put(batch);
    });
  }

  @Override
  public void ahead(Consumer<CalibrationBatch> work) {
    try (TensorScope local = backend.newScope();
        CalibrationBatch batch = bring(local)) {
      work.accept(batch);
    }
  }

  @Override
  public Stream<KeptRows> residuals() {
    return activations.stream().map(kept -> kept.get(Step.RESIDUAL));
  }

  /** The room closes with those of all batches. */
  @Override
  public void close() {}
}
