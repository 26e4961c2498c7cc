package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/**
 * A tensor that is to be written.
 *
 * @param name its name in the file
 * @param type its elements
 * @param shape sizes of its dimensions, the last one contiguous; the file has them the other way
 * @param parts its bytes, one part after the other, each made when its turn comes
 */
public record GgufTensor(
    String name,
    GgufType type,
    ImmutableList<Long> shape,
    ImmutableList<Supplier<MemorySegment>> parts) {

  /** Bytes of all its elements. */
  public long bytes() {
    return type.bytes(shape.stream().reduce(1L, Math::multiplyExact));
  }
}
