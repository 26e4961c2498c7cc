package dev.gptq.models.forward;

import dev.gptq.models.family.RopeSpec;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * The tables of a model's rotary positions. Layers that are rotated alike share one; a table is
 * computed when it is first needed, and again with twice the positions when they do not suffice.
 */
public final class RopeTables {
  private static final int FEWEST = 2048;

  private final TensorScope scope;
  private final RopeValues values;
  private final Map<RopeSpec, RopeTable> tables = new HashMap<>();

  /**
   * What was last found for a layer: each token asks for the same, and hashing all frequencies
   * takes long.
   */
  private final IdentityHashMap<RopeSpec, Found> found = new IdentityHashMap<>();

  private record Found(int positions, RopeTable table) {}

  /** Tables in the memory of {@code scope}. */
  public RopeTables(TensorScope scope) {
    this(scope, new RopeValues());
  }

  /** The same with values that other tables have, too. */
  public RopeTables(TensorScope scope, RopeValues values) {
    this.scope = scope;
    this.values = values;
  }

  /**
   * A table.
   *
   * @param spec by how much is rotated
   * @param positions that a sequence may have in all, which decides between frequencies
   * @param needed positions that the table must have
   */
  synchronized RopeTable of(RopeSpec spec, int positions, int needed) {
    Found last = found.get(spec);
    if (last != null && last.positions() == positions && last.table().cosine().rows() >= needed) {
      return last.table();
    }
    RopeSpec chosen = spec.of(positions);
    RopeTable known = tables.get(chosen);
    if (known == null || known.cosine().rows() < needed) {
      int rows = Math.max(FEWEST, 2 * Integer.highestOneBit(needed));
      known = RopeTable.of(chosen, rows, values, scope);
      tables.put(chosen, known);
    }
    found.put(spec, new Found(positions, known));
    return known;
  }
}
