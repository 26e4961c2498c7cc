package dev.gptq.simd;

import dev.gptq.backend.PackedWeights;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.simd.kernels.RoundedWeights;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;

/**
 * Packed weights as the kernels stream them. Outputs are cut into tiles of {@link #OUTPUTS}; the
 * words of a tile follow one another, each row of OUTPUTS words holding the next few inputs of all
 * outputs of the tile. A word never mixes groups: inputs are sorted by group, and each group starts
 * a new word. The position of an input in that order is its slot; slots that pad the last word of a
 * group have no input.
 *
 * <p>A word has 32 bits, slot i in those from {@code i·bits}. Groups of codes of 2, 4 or 8 bits are
 * padded to whole chunks of 32 slots, which rounded activations share a scale in. So are those of
 * other widths where only kernels outside of Java multiply them, whose codes lie in parts ({@link
 * RoundedWeights}) and have no words of their own.
 */
final class PackedTiles implements PackedWeights {

  /** Outputs of a tile: four vectors, so that kernels read each tile from end to end. */
  static final int OUTPUTS = 4 * Lanes.COUNT;

  /** Rows of words of a chunk of 4-bit codes. */
  static final int CHUNK = 4;

  private final int rows;
  private final int columns;
  private final int bits;
  private final int groups;
  private final float fixedZero;

  // I32, a row for each tile; F32, tiles × groups·OUTPUTS; the same, absent if zero is fixed.
  private final Tensor owner;
  private final Matrix words;
  private final Matrix scales;
  private final Optional<Matrix> zeros;

  /** The first row of words of each group, and the end. */
  private final int[] wordsOfGroup;

  /** The input of each slot, −1 for padding. */
  private final int[] inputs;

  /** The group of each chunk; empty where groups are not padded to chunks. */
  private final int[] groupOfChunk;

  private final boolean identity;
  private final boolean parts;

  /** These weights for kernels outside of Java, where groups are padded to chunks. */
  private final Optional<RoundedWeights> rounded;

  private PackedTiles(PackedMatrix m, boolean outside, TensorScope scope) {
    this.rows = m.rows();
    this.columns = m.columns();
    this.bits = m.bits();
    this.groups = m.groups();
    this.fixedZero = m.scheme().hasZeroPoint() ? 0 : m.scheme().fixedZero(bits);
    boolean whole = RoundedWeights.CHUNK_INPUTS % bits == 0;
    boolean chunks = whole || outside;
    this.parts = outside && !whole;
    int unit = chunks ? RoundedWeights.CHUNK_INPUTS : slotsPerWord();
    int words = chunks ? bits : 1;
    this.wordsOfGroup = wordsOfGroup(m, unit, words);
    this.inputs = inputs(m, wordsOfGroup, unit, words);
    this.groupOfChunk = chunks ? groupOfChunk(wordsOfGroup, bits) : new int[0];
    this.identity = isIdentity(inputs, columns);
    int tiles = (rows + OUTPUTS - 1) / OUTPUTS;
    this.owner = zeros(scope, DType.I32, tiles, wordsOfGroup[groups]);
    this.words = Matrix.of(owner);
    this.scales = Matrix.of(zeros(scope, DType.F32, tiles, groups));
    this.zeros = m.zeros().map(values -> Matrix.of(zeros(scope, DType.F32, tiles, groups)));
    this.rounded = chunks ? Optional.of(rounded(scope)) : Optional.empty();
  }

  private RoundedWeights rounded(TensorScope scope) {
    int chunks = groupOfChunk.length;
    Matrix copy = Matrix.of(scope.zeros(DType.I32, 1, chunks, Layout.ROW_MAJOR));
    MemorySegment.copy(groupOfChunk, 0, copy.segment(), Lanes.INT, copy.at(0, 0), chunks);
    return new RoundedWeights(
        bits,
        whole(words),
        whole(scales),
        zeros.map(PackedTiles::whole),
        fixedZero,
        whole(copy),
        rows,
        OUTPUTS,
        chunks,
        groups);
  }

  /** The bytes of a matrix whose rows follow one another. */
  private static MemorySegment whole(Matrix m) {
    return m.segment().asSlice(m.at(0, 0), 4L * m.rows() * m.columns());
  }

  /**
   * Copies a packed matrix into tiles.
   *
   * @param outside whether only kernels outside of Java multiply them
   */
  static PackedTiles of(Execution execution, PackedMatrix m, boolean outside, TensorScope scope) {
    PackedTiles packed = new PackedTiles(m, outside, scope);
    execution.forRanges(packed.tiles(), 1, (tile, end) -> packed.fill(m, tile));
    return packed;
  }

  private static Tensor zeros(TensorScope scope, DType type, int tiles, int rows) {
    return scope.zeros(type, tiles, Math.multiplyExact(rows, OUTPUTS), Layout.ROW_MAJOR);
  }

  /** Where groups begin that are padded to units of so many slots, each of so many words. */
  private static int[] wordsOfGroup(PackedMatrix m, int unit, int words) {
    int[] sizes = new int[m.groups()];
    for (int i = 0; i < m.columns(); i++) {
      sizes[m.group(i)]++;
    }
    int[] starts = new int[m.groups() + 1];
    for (int g = 0; g < m.groups(); g++) {
      starts[g + 1] = starts[g] + (sizes[g] + unit - 1) / unit * words;
    }
    return starts;
  }

  private static int[] inputs(PackedMatrix m, int[] starts, int unit, int words) {
    int[] inputs = new int[starts[m.groups()] / words * unit];
    Arrays.fill(inputs, -1);
    int[] next = new int[m.groups()];
    for (int i = 0; i < m.columns(); i++) {
      int g = m.group(i);
      inputs[starts[g] / words * unit + next[g]++] = i;
    }
    return inputs;
  }

  private static int[] groupOfChunk(int[] starts, int words) {
    int[] groups = new int[starts[starts.length - 1] / words];
    for (int g = 0; g + 1 < starts.length; g++) {
      Arrays.fill(groups, starts[g] / words, starts[g + 1] / words, g);
    }
    return groups;
  }

  private static boolean isIdentity(int[] inputs, int columns) {
    if (inputs.length != columns) {
      return false;
    }
    for (int i = 0; i < columns; i++) {
      if (inputs[i] != i) {
        return false;
      }
    }
    return true;
  }

  private void fill(PackedMatrix m, int tile) {
    int first = tile * OUTPUTS;
    int count = Math.min(OUTPUTS, rows - first);
    for (int chunk = 0; parts && chunk < groupOfChunk.length; chunk++) {
      for (int o = 0; o < count; o++) {
        collectParts(m, chunk, first + o, wordAt(tile, chunk * bits) + 4L * o);
      }
    }
    for (int row = 0; !parts && row < wordRows(); row++) {
      long at = wordAt(tile, row);
      if (identity && slotsPerWord() * bits == 32) {
        // The words of the file are ours: the same inputs of all outputs side by side.
        copy(m, row, first, count, at);
      } else {
        collect(m, row, first, count, at);
      }
    }
    for (int g = 0; g < groups; g++) {
      long from = 4 * ((long) g * rows + first);
      long at = scaleAt(tile, g);
      MemorySegment.copy(m.scales(), from, scales.segment(), at, 4L * count);
      if (zeros.isPresent()) {
        MemorySegment.copy(m.zeros().get(), from, zeros.get().segment(), at, 4L * count);
      }
    }
  }

  private void copy(PackedMatrix m, int row, int first, int count, long at) {
    MemorySegment.copy(m.words(), 4 * ((long) row * rows + first), words.segment(), at, 4L * count);
  }

  /** Gathers the codes of a row of words one by one. */
  private void collect(PackedMatrix m, int row, int first, int count, long at) {
    int perWord = slotsPerWord();
    for (int o = 0; o < count; o++) {
      int word = 0;
      for (int i = 0; i < perWord; i++) {
        int input = inputs[row * perWord + i];
        if (input >= 0) {
          word |= m.code(first + o, input) << (i * bits);
        }
      }
      words.segment().set(Lanes.INT, at + 4L * o, word);
    }
  }

  /** Gathers the parts of the codes of a chunk of an output, whose words are OUTPUTS apart. */
  private void collectParts(PackedMatrix m, int chunk, int output, long at) {
    int[] collected = new int[bits];
    for (int slot = 0; slot < RoundedWeights.CHUNK_INPUTS; slot++) {
      int input = inputs[chunk * RoundedWeights.CHUNK_INPUTS + slot];
      int code = input < 0 ? 0 : m.code(output, input);
      int group = slot / 4;
      for (int size = 4, offset = 0; size > 0; size /= 2) {
        if ((bits & size) != 0) {
          int part = code >> offset & (1 << size) - 1;
          int place = 8 * (slot % 4) + size * (group % (8 / size));
          collected[offset + group * size / 8] |= part << place;
          offset += size;
        }
      }
    }
    for (int k = 0; k < bits; k++) {
      words.segment().set(Lanes.INT, at + 4L * k * OUTPUTS, collected[k]);
    }
  }

  /** Codes in a word. */
  int slotsPerWord() {
    return 32 / bits;
  }

  /** Rows of words of a tile. */
  int wordRows() {
    return wordsOfGroup[groups];
  }

  /** Inputs in the order of the kernels, padding included. */
  int slots() {
    return inputs.length;
  }

  /** Tiles of outputs. */
  int tiles() {
    return words.rows();
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  int bits() {
    return bits;
  }

  int groups() {
    return groups;
  }

  /** The first row of words of a group; of the number of groups: the end. */
  int firstWord(int group) {
    return wordsOfGroup[group];
  }

  /** The groups of the chunks. */
  int[] groupOfChunk() {
    return groupOfChunk;
  }

  /** Whether every slot's input has the slot's own number. */
  boolean slotsAreInputs() {
    return identity;
  }

  /** The activation of a slot in a row of inputs at byte {@code row} of x; 0 for padding. */
  float activation(MemorySegment x, long row, int slot) {
    int input = inputs[slot];
    return input < 0 ? 0 : x.get(Lanes.FLOAT, row + 4L * input);
  }

  /** The zero point of all groups where there are no {@link #zeros}. */
  float fixedZero() {
    return fixedZero;
  }

  MemorySegment words() {
    return words.segment();
  }

  MemorySegment scales() {
    return scales.segment();
  }

  /** Zero points, placed as the scales. */
  Optional<MemorySegment> zeros() {
    return zeros.map(Matrix::segment);
  }

  /** What kernels outside of Java read; empty for widths that they do not know. */
  Optional<RoundedWeights> rounded() {
    return rounded;
  }

  /** Throws {@link IllegalStateException} if the scope of these weights is closed. */
  void checkOpen() {
    Matrix.of(owner);
  }

  /** Byte offset of a row of words of a tile. */
  long wordAt(int tile, int row) {
    return words.at(tile, (long) row * OUTPUTS);
  }

  /** Byte offset of the scales and of the zero points of a group in a tile. */
  long scaleAt(int tile, int group) {
    return scales.at(tile, (long) group * OUTPUTS);
  }

  @Override
  public long byteSize() {
    long grids = 4L * tiles() * groups * OUTPUTS;
    return 4L * words.columns() * tiles() + (zeros.isPresent() ? 2 * grids : grids);
  }
}
