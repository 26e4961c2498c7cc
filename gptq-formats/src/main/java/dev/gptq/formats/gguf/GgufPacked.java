package dev.gptq.formats.gguf;

import dev.gptq.formats.packed.Elements;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * A matrix of blocks in the form that kernels multiply with: the same codes, and for each group a
 * scale and a zero point in float32. Types without offsets keep every weight bit for bit; an offset
 * becomes the zero point {@code offset/scale}, by which weights move by no more than float32 rounds
 * such a quotient.
 */
final class GgufPacked {
  private final GgufStored tensor;
  private final int rows;
  private final int groups;
  private final GgufCodes shape;
  private final MemorySegment words;
  private final float[] scales;
  private final float[] zeros;

  private GgufPacked(GgufStored tensor) {
    this.tensor = tensor;
    this.rows = tensor.rows();
    this.shape = new GgufCodes(tensor.type());
    this.groups = tensor.columns() / shape.groupSize();
    int rowsOfWords = BitStream.words(tensor.columns(), shape.bits());
    this.words = MemorySegment.ofArray(new int[Math.multiplyExact(rowsOfWords, rows)]);
    this.scales = new float[Math.multiplyExact(groups, rows)];
    this.zeros = new float[scales.length];
  }

  /** The matrix of a tensor whose type {@link GgufCodes#reads}. */
  static PackedMatrix of(GgufStored tensor) {
    return new GgufPacked(tensor).read();
  }

  private PackedMatrix read() {
    MemorySegment blocks = tensor.data().get();
    IntStream.range(0, rows).parallel().forEach(o -> row(blocks, o));
    return new PackedMatrix(
        shape.hasOffsets() ? Scheme.ASYMMETRIC : Scheme.SYMMETRIC,
        shape.bits(),
        rows,
        tensor.columns(),
        groups,
        words,
        Elements.toSegment(scales),
        shape.hasOffsets() ? Optional.of(Elements.toSegment(zeros)) : Optional.empty(),
        Optional.empty());
  }

  private void row(MemorySegment blocks, int o) {
    GgufCodes codes = new GgufCodes(tensor.type());
    int size = tensor.type().block();
    long at = o * tensor.type().bytes(tensor.columns());
    for (int from = 0; from < tensor.columns(); from += size) {
      codes.read(blocks, at + tensor.type().bytes(from));
      for (int g = 0; g < codes.groups(); g++) {
        group(codes, g, o, from);
      }
    }
  }

  private void group(GgufCodes codes, int g, int o, int from) {
    int size = codes.groupSize();
    int index = (from / size + g) * rows + o;
    float scale = codes.scale(g);
    float zero = codes.offset(g) / scale;
    if (codes.hasOffsets() && !Float.isFinite(zero)) {
      // Without a step all weights of the group are the offset, whatever their codes.
      scales[index] = 1;
      zeros[index] = codes.offset(g);
      return;
    }
    scales[index] = scale;
    zeros[index] = zero;
    for (int j = g * size; j < (g + 1) * size; j++) {
      BitStream.put(words, rows, o, from + j, codes.bits(), codes.code(j));
    }
  }
}
