package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
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
  private final List<Map<String, Rows>> activations = new ArrayList<>();

  /** Rows in the memory of the machine; a rehearsal has none. */
  private record Rows(DType type, int rows, int columns, Optional<MemorySegment> elements)
      implements KeptRows {
    @Override
    public void copyTo(int from, int to, MemorySegment host) {
      host.copyFrom(part(from, to));
    }

    @Override
    public void fill(int from, int to, MemorySegment host) {
      MemorySegment part = part(from, to);
      part.copyFrom(host.asSlice(0, part.byteSize()));
    }

    private MemorySegment part(int from, int to) {
      long row = (long) columns * type.bytes();
      return elements.orElseThrow().asSlice(from * row, (to - from) * row);
    }

    boolean holds(Tensor tensor) {
      return type == tensor.type() && rows == tensor.rows() && columns == tensor.columns();
    }
  }

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
      Map<String, Rows> kept = activations.get(i);
      Map<String, Tensor> held = all.get(i).tensors();
      kept.keySet().retainAll(held.keySet());
      held.forEach(
          (name, tensor) -> kept.compute(name, (_, old) -> put(tensor, Optional.ofNullable(old))));
    }
  }

  private Rows put(Tensor tensor, Optional<Rows> old) {
    Rows rows = old.filter(known -> known.holds(tensor)).orElseGet(() -> room(tensor));
    rows.elements().ifPresent(tensor::copyTo);
    return rows;
  }

  private Rows room(Tensor tensor) {
    return new Rows(
        tensor.type(),
        tensor.rows(),
        tensor.columns(),
        backend instanceof Rehearsal
            ? Optional.empty()
            : Optional.of(room.allocate(tensor.byteSize())));
  }

  private CalibrationBatch bring(TensorScope scope) {
    Optional<Registers> full =
        activations.size() > 1 ? Optional.of(bring(activations.get(1), scope)) : Optional.empty();
    return new CalibrationBatch(
        number, first, sequences, bring(activations.getFirst(), scope), full);
  }

  private Registers bring(Map<String, Rows> kept, TensorScope scope) {
    Registers registers = new Registers(backend, scope);
    kept.forEach((name, rows) ->
        registers.define(
            name,
            own ->
                own.upload(
                    () -> rows.elements().orElseThrow(),
                    rows.type(),
                    rows.rows(),
                    rows.columns(),
                    Layout.ROW_MAJOR)));
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
