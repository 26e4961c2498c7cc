package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.family.Step.Split.Part;
import java.util.Optional;

/**
 * How the matrices of a model stand in a file where they do not stand as in the checkpoint. Modules
 * are named as there.
 */
public final class GgufOrder {
  private final ImmutableMap<String, Rows> rows;
  private final ImmutableSet<String> transposed;

  private GgufOrder(ImmutableMap<String, Rows> rows, ImmutableSet<String> transposed) {
    this.rows = rows;
    this.transposed = transposed;
  }

  /** Where the rows of a matrix, or the elements of its bias, stand. */
  public sealed interface Rows {
    /** The row of the checkpoint that stands in a row of the file. */
    int inCheckpoint(int row);

    /** The row of the file in which a row of the checkpoint stands. */
    int inFile(int row);

    /** Whether so many rows can be ordered in this way. */
    boolean fits(int count);
  }

  /** Channels of heads that turn together. */
  private record Pairs(int headDim) implements Rows {
    @Override
    public int inCheckpoint(int row) {
      return GgufRows.inCheckpoint(row, headDim);
    }

    @Override
    public int inFile(int row) {
      return GgufRows.inFile(row, headDim);
    }

    @Override
    public boolean fits(int count) {
      return headDim % 2 == 0 && count % headDim == 0;
    }
  }

  /**
   * Parts that the checkpoint has side by side in each of several runs, and the file one behind the
   * other.
   */
  private record Runs(int runs, ImmutableList<Part> parts) implements Rows {
    private int width() {
      return parts.stream().mapToInt(Part::columns).sum() / runs;
    }

    @Override
    public int inCheckpoint(int row) {
      int before = 0;
      int left = row;
      for (Part part : parts) {
        int columns = part.columns() / runs;
        if (left < part.columns()) {
          return left / columns * width() + before + left % columns;
        }
        left -= part.columns();
        before += columns;
      }
      throw new IndexOutOfBoundsException(row);
    }

    @Override
    public int inFile(int row) {
      int run = row / width();
      int left = row % width();
      int before = 0;
      for (Part part : parts) {
        int columns = part.columns() / runs;
        if (left < columns) {
          return before + run * columns + left;
        }
        left -= columns;
        before += part.columns();
      }
      throw new IndexOutOfBoundsException(row);
    }

    @Override
    public boolean fits(int count) {
      return count == width() * runs;
    }
  }

  /**
   * That of a model.
   *
   * @param headDim channels of a head
   */
  public static GgufOrder of(GgufFamily family, DecoderSpec spec, int headDim) {
    ImmutableMap.Builder<String, Rows> rows = ImmutableMap.builder();
    ImmutableSet.Builder<String> transposed = ImmutableSet.builder();
    for (BlockSpec block : spec.blocks()) {
      block
          .linears()
          .filter(linear -> family.modules().containsKey(linear.module()))
          .forEach(linear -> {
            String stem = family.modules().get(linear.module());
            rows(family, block, linear, stem, headDim)
                .ifPresent(order -> rows.put(block.nameOf(linear), order));
            if (linear.storage() == LinearSpec.Storage.IN_OUT) {
              transposed.add(block.nameOf(linear));
            }
          });
    }
    return new GgufOrder(rows.buildOrThrow(), transposed.build());
  }

  private static Optional<Rows> rows(
      GgufFamily family, BlockSpec block, LinearSpec linear, String stem, int headDim) {
    if (GgufRows.isRotated(stem)) {
      return family.has(GgufFamily.Trait.PAIRS_NEIGHBOURS)
          ? Optional.of(new Pairs(headDim))
          : Optional.empty();
    }
    return stem.equals("attn_qkv")
        ? block.steps().stream()
            .filter(Step.Split.class::isInstance)
            .map(Step.Split.class::cast)
            .filter(split -> split.in().equals(linear.out()) && split.runs() > 1)
            .findFirst()
            .map(split -> new Runs(split.runs(), split.parts()))
        : Optional.empty();
  }

  /** Where the rows of a module stand, unless they do as in the checkpoint. */
  public Optional<Rows> rows(String module) {
    return Optional.ofNullable(rows.get(module));
  }

  /**
   * Whether a full-precision weight of the checkpoint is in × out, which one of a file never is.
   */
  public boolean isTransposed(String module) {
    return transposed.contains(module);
  }
}
