package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * A tensor of a checkpoint: left where it is, in the memory-mapped file, or computed from such
 * tensors whenever its elements are asked for.
 */
public final class StoredTensor {
  private final String name;
  private final StoredType type;
  private final ImmutableList<Long> shape;
  private final Path file;
  private final Supplier<MemorySegment> data;
  private final boolean computed;

  private StoredTensor(
      String name,
      StoredType type,
      ImmutableList<Long> shape,
      Path file,
      Supplier<MemorySegment> data,
      boolean computed) {
    this.name = name;
    this.type = type;
    this.shape = shape;
    this.file = file;
    this.data = data;
    this.computed = computed;
  }

  /**
   * A tensor that lies in memory.
   *
   * @param name the name in the file
   * @param type element type
   * @param shape sizes of the dimensions, the last one contiguous; empty for a scalar
   * @param file the file that holds it
   * @param data the elements, little-endian, without any alignment
   */
  public StoredTensor(
      String name, StoredType type, ImmutableList<Long> shape, Path file, MemorySegment data) {
    this(name, type, shape, file, () -> data, false);
  }

  /**
   * A tensor whose elements are computed each time that {@link #data} is called.
   *
   * @param file the file that holds what it is computed from
   */
  public static StoredTensor computed(
      String name,
      StoredType type,
      ImmutableList<Long> shape,
      Path file,
      Supplier<MemorySegment> data) {
    return new StoredTensor(name, type, shape, file, data, true);
  }

  /** The name in the file. */
  public String name() {
    return name;
  }

  /** Element type. */
  public StoredType type() {
    return type;
  }

  /** Sizes of the dimensions, the last one contiguous; empty for a scalar. */
  public ImmutableList<Long> shape() {
    return shape;
  }

  /** The file that holds it, or what it is computed from. */
  public Path file() {
    return file;
  }

  /**
   * The elements, little-endian, read-only, without any alignment; valid until the checkpoint is
   * closed. Those of a tensor that is computed are computed anew with every call.
   */
  public MemorySegment data() {
    return data.get();
  }

  /**
   * The same with its elements at hand. {@link #data} of one that is computed does so each time:
   * who reads it element by element asks for this first.
   */
  public StoredTensor once() {
    return new StoredTensor(name(), type(), shape(), file(), data());
  }

  /**
   * Brings the elements from the disk into the system's cache if they lie in a mapped file, and
   * takes as long as that does. What is computed is not.
   */
  public void readAhead() {
    if (!computed && data().isMapped()) {
      data().load();
    }
  }

  /**
   * Says that nobody reads the elements for now: if they lie in a mapped file, this process keeps
   * no pages of them, which the system's cache still has. Closing a checkpoint of which much is
   * mapped takes long, and whoever closes it waits.
   */
  public void letGo() {
    if (!computed && data().isMapped()) {
      data().unload();
    }
  }

  /** Whether the elements are computed each time that they are asked for. */
  boolean isComputed() {
    return computed;
  }

  /** Number of elements. */
  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** Bytes of the elements. */
  public long byteSize() {
    return Math.multiplyExact(elements(), (long) type.bytes());
  }

  /** First dimension of a matrix. */
  public int rows() {
    return dimension(0);
  }

  /** Second dimension of a matrix. */
  public int columns() {
    return dimension(1);
  }

  private int dimension(int index) {
    if (shape.size() != 2) {
      throw new BadInputException(
          "%s: tensor '%s' has shape %s where a matrix is expected".formatted(file, name, shape));
    }
    if (shape.get(index) > Integer.MAX_VALUE) {
      throw new BadInputException(
          "%s: tensor '%s' of shape %s is too large".formatted(file, name, shape));
    }
    return Math.toIntExact(shape.get(index));
  }

  /** The name, type and shape as in {@code lm_head.weight BF16 [4096, 256]}. */
  public String describe() {
    return name + " " + type + " " + shape;
  }

  @Override
  public String toString() {
    return describe();
  }
}
