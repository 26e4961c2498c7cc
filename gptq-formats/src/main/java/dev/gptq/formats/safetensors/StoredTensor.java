package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * A tensor of a checkpoint, left where it is: in the memory-mapped file.
 *
 * @param name the name in the file
 * @param type element type
 * @param shape sizes of the dimensions, the last one contiguous; empty for a scalar
 * @param file the file that holds it
 * @param data the elements, little-endian, read-only, without any alignment; valid until the
 *     checkpoint is closed
 */
public record StoredTensor(
    String name, StoredType type, ImmutableList<Long> shape, Path file, MemorySegment data) {

  /** Number of elements. */
  public long elements() {
    return data.byteSize() / type.bytes();
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
}
