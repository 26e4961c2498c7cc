package dev.gptq.pack;

import com.google.common.base.Preconditions;
import dev.gptq.grid.Scheme;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * A quantized weight matrix in host memory, independent of file formats: {@code W[o][i] =
 * scale[g][o]·(code[i][o] − zero[g][o])}, g the group of column i.
 *
 * <p>Codes are packed along the input: for each output o, the codes of i = 0, 1, … form a
 * little-endian bit stream, code i at bits {@code [i·b, i·b + b)} (see {@link BitStream}). Word w
 * of output o stands at index {@code w·out + o}, so that a row of words holds the same inputs of
 * all outputs. All segments are little-endian and need no alignment; they may be mapped files.
 *
 * @param scheme which codes exist; tells whether zero points vary
 * @param bits bits of a code
 * @param rows output features
 * @param columns input features
 * @param groups number of groups
 * @param words int32, ⌈columns·bits/32⌉ × rows
 * @param scales float32, groups × rows
 * @param zeros float32, groups × rows; empty for schemes with a fixed zero point
 * @param groupOf group of each column, or empty if column i has group {@code i / (columns/groups)}
 */
public record PackedMatrix(
    Scheme scheme,
    int bits,
    int rows,
    int columns,
    int groups,
    MemorySegment words,
    MemorySegment scales,
    Optional<MemorySegment> zeros,
    Optional<int[]> groupOf) {

  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Checks the sizes. */
  public PackedMatrix {
    Preconditions.checkArgument(
        words.byteSize() == 4L * BitStream.words(columns, bits) * rows,
        "%s bytes of packed words do not hold %s x %s codes of %s bits",
        words.byteSize(),
        rows,
        columns,
        bits);
    Preconditions.checkArgument(scales.byteSize() == 4L * groups * rows, "wrong size of scales");
    Preconditions.checkArgument(
        zeros.isPresent() == scheme.hasZeroPoint(), "zero points belong to asymmetric grids");
    zeros.ifPresent(z ->
        Preconditions.checkArgument(
            z.byteSize() == 4L * groups * rows, "wrong size of zero points"));
    Preconditions.checkArgument(
        groupOf.isPresent() || columns % groups == 0,
        "%s groups do not divide %s columns",
        groups,
        columns);
  }

  /** Columns of a group where groups are contiguous. */
  public int groupSize() {
    return columns / groups;
  }

  /** The group of a column. */
  public int group(int column) {
    return groupOf.isPresent() ? groupOf.get()[column] : column / groupSize();
  }

  /** The code of output o and input i. */
  public int code(int o, int i) {
    return BitStream.get(words, rows, o, i, bits);
  }

  /** The scale of group g of output o. */
  public float scale(int o, int g) {
    return scales.get(FLOAT, 4L * ((long) g * rows + o));
  }

  /** The zero point of group g of output o. */
  public float zero(int o, int g) {
    return zeros.isPresent()
        ? zeros.get().get(FLOAT, 4L * ((long) g * rows + o))
        : scheme.fixedZero(bits);
  }

  /** Whether every zero point is stored and is that of {@link Scheme#SYMMETRIC}. */
  public boolean isCentred() {
    float centre = Scheme.SYMMETRIC.fixedZero(bits);
    return zeros.isPresent()
        && LongStream.range(0, (long) groups * rows)
            .allMatch(i -> zeros.get().get(FLOAT, Float.BYTES * i) == centre);
  }

  /** The matrix of the same weights that stores no zero points, if it {@link #isCentred}. */
  public PackedMatrix centred() {
    Preconditions.checkState(isCentred(), "zero points differ from those of symmetric grids");
    return new PackedMatrix(
        Scheme.SYMMETRIC, bits, rows, columns, groups, words, scales, Optional.empty(), groupOf);
  }

  /** The weight of output o and input i, {@code scale·(code − zero)} in float32. */
  public float weight(int o, int i) {
    int g = group(i);
    return scale(o, g) * (code(o, i) - zero(o, g));
  }
}
