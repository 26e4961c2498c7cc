package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;

/**
 * What a header says about one tensor.
 *
 * @param name its name
 * @param type element type
 * @param shape sizes of the dimensions
 * @param begin first byte, counted from the end of the header
 * @param end the byte after its last one
 */
record TensorEntry(String name, StoredType type, ImmutableList<Long> shape, long begin, long end) {

  /** Bytes of the elements. */
  long byteSize() {
    return end - begin;
  }
}
