package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The precisions that a unit is tried with, from the smallest to the largest on disk: at the first
 * width and at each wider one the first group size, halved again and again down to 32. Whole rows
 * are followed by groups of 128.
 */
final class Ladder {
  /** Widths for which servers have kernels. */
  static final ImmutableList<Integer> WIDTHS = ImmutableList.of(2, 3, 4, 8);

  private static final int SMALLEST_GROUP = 32;
  private static final int FIRST_GROUP = 128;

  private Ladder() {}

  /** All of the widths that are above {@code start} and that the unit accepts. */
  static ImmutableList<Precision> above(Precision start, Unit unit, List<Integer> widths) {
    Set<Precision> rungs = new LinkedHashSet<>();
    for (int bits : widths) {
      if (bits >= start.bits()) {
        for (int size : groupSizes(start.groupSize())) {
          rungs.add(new Precision(bits, size));
        }
      }
    }
    return rungs.stream()
        .filter(precision -> unit.accepts(precision) && unit.bytes(precision) > unit.bytes(start))
        .sorted(Comparator.comparingLong(unit::bytes))
        .collect(ImmutableList.toImmutableList());
  }

  private static Set<Integer> groupSizes(int first) {
    Set<Integer> sizes = new LinkedHashSet<>(List.of(first));
    for (int size = first == -1 ? FIRST_GROUP : first / 2; size >= SMALLEST_GROUP; size /= 2) {
      sizes.add(size);
    }
    return sizes;
  }
}
