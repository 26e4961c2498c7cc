package dev.gptq.formats.gguf;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.host.NativeHeap;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.IntUnaryOperator;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * A tensor of a file that was read, or a part of one. Rows and experts are taken before anything is
 * decoded.
 *
 * @param name its name in the file
 * @param type its elements
 * @param shape sizes of its dimensions, the last one contiguous
 * @param file the file that holds it
 * @param data its blocks
 */
public record GgufStored(
    String name,
    GgufType type,
    ImmutableList<Long> shape,
    Path file,
    Supplier<MemorySegment> data) {

  /** Number of elements. */
  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** Elements that lie side by side. */
  public int columns() {
    return Math.toIntExact(shape.getLast());
  }

  /** Rows, whatever the number of dimensions. */
  public int rows() {
    return Math.toIntExact(elements() / columns());
  }

  /** A vector as a matrix of one row. */
  public GgufStored asRow() {
    return new GgufStored(name, type, ImmutableList.of(1L, shape.getFirst()), file, data);
  }

  /** A tensor of any shape as a vector. */
  public GgufStored asVector() {
    return new GgufStored(name, type, ImmutableList.of(elements()), file, data);
  }

  /**
   * A matrix with the rows of another behind its own: of codes where both have the same type, else
   * decoded to float32.
   */
  public GgufStored before(GgufStored other) {
    Preconditions.checkArgument(
        columns() == other.columns(), "%s and %s have other rows", name, other.name);
    boolean alike = type == other.type;
    ImmutableList<Long> rows = ImmutableList.of((long) rows() + other.rows(), (long) columns());
    return new GgufStored(
        name,
        alike ? type : GgufType.F32,
        rows,
        file,
        () ->
            alike
                ? joined(data.get(), other.data.get())
                : joined(decodedFloats(), other.decodedFloats()));
  }

  private static MemorySegment joined(MemorySegment first, MemorySegment second) {
    MemorySegment both =
        NativeHeap.allocate(first.byteSize() + second.byteSize(), 64, Arena.ofAuto());
    MemorySegment.copy(first, 0, both, 0, first.byteSize());
    MemorySegment.copy(second, 0, both, first.byteSize(), second.byteSize());
    return both.asReadOnly();
  }

  /** A matrix, features × width, as features × 1 × width. */
  public GgufStored asKernel() {
    return new GgufStored(
        name, type, ImmutableList.of(shape.getFirst(), 1L, shape.getLast()), file, data);
  }

  /** One of the tensors that lie one behind the other along the first dimension. */
  public GgufStored part(int index) {
    Preconditions.checkElementIndex(index, Math.toIntExact(shape.getFirst()));
    ImmutableList<Long> rest = shape.subList(1, shape.size());
    long bytes = type.bytes(elements()) / shape.getFirst();
    return new GgufStored(name, type, rest, file, () -> data.get().asSlice(index * bytes, bytes));
  }

  /** A matrix of so many rows, or a vector of so many elements, each taken from another place. */
  public GgufStored gathered(int count, IntUnaryOperator from) {
    Preconditions.checkState(shape.size() == 2 || type.isPlain(), "%s has no rows", name);
    long bytes = type.bytes(elements()) / shape.getFirst();
    ImmutableList<Long> gathered =
        ImmutableList.<Long>builder()
            .add((long) count)
            .addAll(shape.subList(1, shape.size()))
            .build();
    return new GgufStored(
        name,
        type,
        gathered,
        file,
        () -> {
          MemorySegment source = data.get();
          MemorySegment rows = NativeHeap.allocate(count * bytes, 8, Arena.ofAuto());
          for (int row = 0; row < count; row++) {
            MemorySegment.copy(source, from.applyAsInt(row) * bytes, rows, row * bytes, bytes);
          }
          return rows.asReadOnly();
        });
  }

  /**
   * A matrix with its columns in another order: of codes where its blocks stay whole, else decoded
   * to float32.
   *
   * @param run columns that stay together
   * @param from the column from which that comes which stands in a column
   */
  public GgufStored withColumns(int run, IntUnaryOperator from) {
    boolean whole = GgufColumns.fits(type, run);
    GgufType moved = whole ? type : GgufType.F32;
    return new GgufStored(
        name,
        moved,
        shape,
        file,
        () -> {
          MemorySegment source = whole ? data.get() : decodedFloats();
          MemorySegment rows = NativeHeap.allocate(source.byteSize(), 64, Arena.ofAuto());
          GgufColumns.move(source, moved, columns(), run, from, rows);
          return rows.asReadOnly();
        });
  }

  /**
   * The real numbers that it stands for, as a tensor of another name: of the same type where
   * safetensors has it, else decoded to float32 as ggml does.
   */
  public StoredTensor decoded(String as) {
    return switch (type) {
      case F32 -> StoredTensor.computed(as, StoredType.F32, shape, file, data);
      case F16 -> StoredTensor.computed(as, StoredType.F16, shape, file, data);
      case BF16 -> StoredTensor.computed(as, StoredType.BF16, shape, file, data);
      default -> StoredTensor.computed(as, StoredType.F32, shape, file, this::floats);
    };
  }

  /** Whether it is a matrix of codes, which {@link #packed} gives. */
  public boolean isPacked() {
    return shape.size() == 2 && GgufCodes.reads(type);
  }

  /**
   * The matrix as kernels multiply with it: its codes, with scales and zero points in float32.
   * Where the type has no offsets all weights are those of {@link #decoded}; an offset is a zero
   * point, rounded once more.
   */
  public PackedMatrix packed() {
    Preconditions.checkState(isPacked(), "%s has no codes", name);
    return GgufPacked.of(this);
  }

  /** Bytes of {@link #packed}. */
  public long packedBytes() {
    GgufCodes codes = new GgufCodes(type);
    long grids = elements() / codes.groupSize() * Float.BYTES;
    long words = (long) BitStream.words(columns(), codes.bits()) * rows() * Integer.BYTES;
    return words + (codes.hasOffsets() ? 2 * grids : grids);
  }

  /** All its bytes, as a tensor of bytes. */
  public StoredTensor bytes() {
    return StoredTensor.computed(
        name, StoredType.U8, ImmutableList.of(type.bytes(elements())), file, data);
  }

  private MemorySegment decodedFloats() {
    StoredTensor decoded = decoded(name).once();
    if (decoded.type() == StoredType.F32) {
      return decoded.data();
    }
    MemorySegment floats = NativeHeap.allocate(Float.BYTES * elements(), 64, Arena.ofAuto());
    for (long i = 0; i < elements(); i++) {
      floats.setAtIndex(Elements.FLOAT, i, Elements.get(decoded, i));
    }
    return floats;
  }

  private MemorySegment floats() {
    MemorySegment blocks = data.get();
    MemorySegment floats = NativeHeap.allocate(Float.BYTES * elements(), 64, Arena.ofAuto());
    long rowBytes = type.bytes(columns());
    IntStream.range(0, rows())
        .parallel()
        .forEach(row -> decodeRow(blocks, row * rowBytes, floats, (long) row * columns()));
    return floats.asReadOnly();
  }

  private void decodeRow(MemorySegment blocks, long from, MemorySegment floats, long to) {
    float[] block = new float[type.block()];
    GgufDecoder decoder = new GgufDecoder(type);
    for (int i = 0; i < columns() / block.length; i++) {
      decoder.block(blocks, from + type.bytes((long) i * block.length), block);
      MemorySegment.copy(
          block,
          0,
          floats,
          Elements.FLOAT,
          Float.BYTES * (to + (long) i * block.length),
          block.length);
    }
  }
}
