package dev.gptq.formats.safetensors;

import java.util.ArrayList;
import java.util.List;

/**
 * What of some tensors is forced to the disk at a time. A tensor that lies in a file is cut: that
 * of an embedding is large, and what the disk has of it can be read back while the rest is written.
 *
 * @param parts one behind the other
 */
record Portion(List<Part> parts) {
  /** Bytes of a portion: some 50 ms of a disk that writes 2 GB/s. */
  private static final long BYTES = 128L << 20;

  /**
   * Bytes of a tensor.
   *
   * @param from the first
   * @param to the one after the last
   */
  record Part(StoredTensor tensor, long from, long to) {}

  /** Tensors in portions, in their order. */
  static List<Portion> of(List<StoredTensor> tensors) {
    return of(tensors, BYTES);
  }

  /** The same with other portions, of so many bytes or of one tensor that is computed. */
  static List<Portion> of(List<StoredTensor> tensors, long most) {
    List<Portion> portions = new ArrayList<>();
    List<Part> parts = new ArrayList<>();
    long bytes = 0;
    for (StoredTensor tensor : tensors) {
      long size = tensor.byteSize();
      long from = 0;
      do {
        if (bytes >= most || (tensor.isComputed() && bytes > 0 && bytes + size > most)) {
          portions.add(new Portion(List.copyOf(parts)));
          parts.clear();
          bytes = 0;
        }
        long to = tensor.isComputed() ? size : Math.min(size, from + most - bytes);
        parts.add(new Part(tensor, from, to));
        bytes += to - from;
        from = to;
      } while (from < size);
    }
    if (!parts.isEmpty()) {
      portions.add(new Portion(List.copyOf(parts)));
    }
    return portions;
  }
}
