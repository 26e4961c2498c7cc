package dev.gptq.quantize;

import dev.gptq.grid.SuperBlock;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.pack.Packer;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.stream.IntStream;

/** Matrices in host memory, rounded to nearest on {@link SuperBlock}s. */
public final class BlockRounding {
  private BlockRounding() {}

  /**
   * A matrix with fitted scales and the nearest codes.
   *
   * @param w weights, column by column
   * @param cost of a squared error of each column, a multiple of {@link SuperBlock#COLUMNS} of them
   */
  public static PackedMatrix of(SuperBlock type, float[] w, int rows, float[] cost) {
    int columns = cost.length;
    BlockScales scales = BlockFit.of(type, w, rows, cost);
    int most = (1 << type.bits()) - 1;
    int middle = type.hasOffsets() ? 0 : 1 << (type.bits() - 1);
    byte[] codes = new byte[w.length];
    IntStream.range(0, columns)
        .parallel()
        .forEach(c -> {
          int group = c / type.groupSize();
          for (int r = 0; r < rows; r++) {
            float shifted = w[c * rows + r] + scales.offset(r, group);
            double code = Math.rint(shifted / scales.scale(r, group)) + middle;
            codes[c * rows + r] = (byte) Math.clamp(code, 0, most);
          }
        });
    return Packer.pack(
        type.scheme(),
        type.bits(),
        rows,
        IntStream.range(0, columns).map(c -> c / type.groupSize()).toArray(),
        codes,
        MemorySegment.ofArray(scales.scales()),
        type.hasOffsets() ? Optional.of(MemorySegment.ofArray(scales.zeros())) : Optional.empty());
  }
}
