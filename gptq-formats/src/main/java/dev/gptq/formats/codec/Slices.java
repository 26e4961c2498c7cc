package dev.gptq.formats.codec;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.safetensors.StoredTensor;
import java.lang.foreign.MemorySegment;

/** Parts of stored tensors, as tensors. */
public final class Slices {
  private Slices() {}

  /** The same tensor under another name. */
  public static StoredTensor renamed(StoredTensor tensor, String name) {
    return StoredTensor.computed(name, tensor.type(), tensor.shape(), tensor.file(), tensor::data);
  }

  /** One of the tensors that lie one behind the other along the first dimension. */
  public static StoredTensor part(StoredTensor tensor, int index) {
    Preconditions.checkArgument(
        !tensor.shape().isEmpty() && index >= 0 && index < tensor.shape().getFirst(),
        "%s has no part %s",
        tensor,
        index);
    ImmutableList<Long> shape = tensor.shape().subList(1, tensor.shape().size());
    long bytes = tensor.byteSize() / tensor.shape().getFirst();
    return StoredTensor.computed(
        tensor.name(),
        tensor.type(),
        shape,
        tensor.file(),
        () -> tensor.data().asSlice(index * bytes, bytes));
  }

  /**
   * Rows {@code first}, {@code first + step}, … of a matrix, or elements of a vector, or whatever
   * lies one behind the other along the first dimension.
   */
  public static StoredTensor rows(StoredTensor tensor, int first, int step, int count) {
    long all = tensor.shape().getFirst();
    Preconditions.checkArgument(
        first >= 0 && step > 0 && count > 0 && first + (count - 1L) * step < all,
        "%s has no %s rows from %s on, %s apart",
        tensor,
        count,
        first,
        step);
    long bytes = tensor.byteSize() / all;
    ImmutableList<Long> shape =
        ImmutableList.<Long>builder()
            .add((long) count)
            .addAll(tensor.shape().subList(1, tensor.shape().size()))
            .build();
    return StoredTensor.computed(
        tensor.name(),
        tensor.type(),
        shape,
        tensor.file(),
        step == 1
            ? () -> tensor.data().asSlice(first * bytes, count * bytes)
            : () -> {
              MemorySegment from = tensor.data();
              return Computed.segment(
                  count,
                  bytes,
                  (row, to) ->
                      MemorySegment.copy(from, (first + (long) row * step) * bytes, to, 0, bytes));
            });
  }

  /** A matrix with rows and columns exchanged. */
  public static StoredTensor transposed(StoredTensor matrix) {
    int rows = matrix.rows();
    int columns = matrix.columns();
    int size = matrix.type().bytes();
    return StoredTensor.computed(
        matrix.name(),
        matrix.type(),
        ImmutableList.of((long) columns, (long) rows),
        matrix.file(),
        () -> {
          MemorySegment from = matrix.data();
          return Computed.segment(
              columns,
              (long) rows * size,
              (column, to) -> {
                for (int row = 0; row < rows; row++) {
                  MemorySegment.copy(
                      from, ((long) row * columns + column) * size, to, (long) row * size, size);
                }
              });
        });
  }
}
