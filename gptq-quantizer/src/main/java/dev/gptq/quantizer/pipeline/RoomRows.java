package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Rows in a {@link StateRoom}; those of a rehearsal have no elements. */
record RoomRows(DType type, int rows, int columns, Optional<MemorySegment> elements)
    implements KeptRows {

  /**
   * Rows of the type and the shape of a tensor.
   *
   * @param old rows that are not needed any more, whose room is taken if it is large enough
   */
  static RoomRows like(Tensor tensor, Optional<RoomRows> old, Backend backend, StateRoom room) {
    Optional<MemorySegment> elements =
        backend instanceof Rehearsal
            ? Optional.empty()
            : old.flatMap(RoomRows::elements)
                .filter(known -> known.byteSize() >= tensor.byteSize())
                .or(() -> Optional.of(room.allocate(tensor.byteSize())));
    return new RoomRows(tensor.type(), tensor.rows(), tensor.columns(), elements);
  }

  /** Takes the elements of a tensor of that type and shape. */
  void put(Tensor tensor) {
    elements.ifPresent(tensor::copyTo);
  }

  /** A tensor with the elements. */
  Tensor bring(TensorScope scope) {
    return scope.upload(elements::orElseThrow, type, rows, columns, Layout.ROW_MAJOR);
  }

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
}
