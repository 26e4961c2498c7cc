package dev.gptq.pack;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Puts packed matrices that multiply the same input below each other: one product in place of
 * several.
 */
public final class JoinedRows {
  private JoinedRows() {}

  /** Whether matrices have the same columns, codes and groups, so that they are one matrix. */
  public static boolean fit(List<PackedMatrix> parts) {
    PackedMatrix first = parts.getFirst();
    return parts.stream()
        .allMatch(part ->
            part.scheme() == first.scheme()
                && part.bits() == first.bits()
                && part.columns() == first.columns()
                && part.groups() == first.groups()
                && Arrays.equals(groups(part), groups(first)));
  }

  private static int[] groups(PackedMatrix part) {
    return part.groupOf().orElse(new int[0]);
  }

  /**
   * The rows of all parts, which {@link #fit}, in their order.
   *
   * @param arena owns the result, which several threads may read
   */
  public static PackedMatrix of(List<PackedMatrix> parts, Arena arena) {
    PackedMatrix first = parts.getFirst();
    int rows = parts.stream().mapToInt(PackedMatrix::rows).reduce(0, Math::addExact);
    return new PackedMatrix(
        first.scheme(),
        first.bits(),
        rows,
        first.columns(),
        first.groups(),
        joined(parts, PackedMatrix::words, rows, arena),
        joined(parts, PackedMatrix::scales, rows, arena),
        first.zeros().isPresent()
            ? Optional.of(joined(parts, part -> part.zeros().orElseThrow(), rows, arena))
            : Optional.empty(),
        first.groupOf());
  }

  /** Numbers of four bytes that have one for each row of a matrix behind each other. */
  private static MemorySegment joined(
      List<PackedMatrix> parts,
      Function<PackedMatrix, MemorySegment> numbers,
      int rows,
      Arena arena) {
    long runs = numbers.apply(parts.getFirst()).byteSize() / 4 / parts.getFirst().rows();
    MemorySegment all = arena.allocate(4 * runs * rows);
    long at = 0;
    for (PackedMatrix part : parts) {
      MemorySegment own = numbers.apply(part);
      long width = 4L * part.rows();
      for (long run = 0; run < runs; run++) {
        MemorySegment.copy(own, run * width, all, at + 4 * run * rows, width);
      }
      at += width;
    }
    return all;
  }
}
