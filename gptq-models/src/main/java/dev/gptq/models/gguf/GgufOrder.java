package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Step;
import dev.gptq.models.family.Step.Split.Part;
import java.util.Optional;

/**
 * How the matrices of a model stand in a file where they do not stand as in the checkpoint. Modules
 * are named as there.
 */
public final class GgufOrder {
  private static final String BIAS = ".bias";

  private final ImmutableMap<String, Rows> rows;
  private final ImmutableSet<String> transposed;
  private final ImmutableMap<String, Cut> cuts;
  private final ImmutableMap<String, TiledHeads> columns;

  private GgufOrder(
      ImmutableMap<String, Rows> rows,
      ImmutableSet<String> transposed,
      ImmutableMap<String, Cut> cuts,
      ImmutableMap<String, TiledHeads> columns) {
    this.rows = rows;
    this.transposed = transposed;
    this.cuts = cuts;
    this.columns = columns;
  }

  /**
   * A matrix that is two in a file.
   *
   * @param first rows of the first
   * @param stem name of the second, below a block
   */
  public record Cut(int first, String stem) {
    /** What is added to the name of a module to name its last rows, which a file has apart. */
    static final String LAST = ".last";
  }

  /** The module of a tensor that is its weight or bias; else the tensor's own name. */
  public static String module(String tensor) {
    int dot = tensor.lastIndexOf('.');
    String suffix = dot < 0 ? "" : tensor.substring(dot);
    return suffix.equals(".weight") || suffix.equals(BIAS) ? tensor.substring(0, dot) : tensor;
  }

  /** Where the rows of a matrix, or the elements of its bias, stand. */
  public sealed interface Rows permits Pairs, Runs, TiledHeads {
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
    ImmutableMap.Builder<String, Cut> cuts = ImmutableMap.builder();
    Optional<StateShape> state =
        StateShape.of(spec).filter(_ -> family.has(GgufFamily.Trait.TILED_VALUES));
    ImmutableMap.Builder<String, TiledHeads> columns = ImmutableMap.builder();
    for (BlockSpec block : spec.blocks()) {
      state.ifPresent(shape -> tile(family, block, shape, rows, columns));
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
            cut(family, block, linear).ifPresent(cut -> cuts.put(block.nameOf(linear), cut));
          });
    }
    return new GgufOrder(
        rows.buildOrThrow(), transposed.build(), cuts.buildOrThrow(), columns.buildOrThrow());
  }

  /** What has heads of values, in its rows or in its columns. */
  private static void tile(
      GgufFamily family,
      BlockSpec block,
      StateShape shape,
      ImmutableMap.Builder<String, Rows> rows,
      ImmutableMap.Builder<String, TiledHeads> columns) {
    for (String tensor : Parameters.of(block).tensors().keySet()) {
      if (!tensor.endsWith(BIAS)) {
        GgufPlace.find(family, tensor)
            .ifPresent(place -> {
              TiledHeads.rows(place.stem(), shape)
                  .ifPresent(tiles -> rows.put(module(tensor), tiles));
              TiledHeads.columns(place.stem(), shape)
                  .ifPresent(tiles -> columns.put(module(tensor), tiles));
            });
      }
    }
  }

  /** The last part of what a matrix gives has a name of its own. */
  private static Optional<Cut> cut(GgufFamily family, BlockSpec block, LinearSpec linear) {
    return Optional.ofNullable(family.modules().get(linear.module() + Cut.LAST))
        .map(stem ->
            new Cut(
                linear.outputs() - split(block, linear).orElseThrow().parts().getLast().columns(),
                stem));
  }

  private static Optional<Step.Split> split(BlockSpec block, LinearSpec linear) {
    return block
        .steps(Step.Split.class)
        .filter(split -> split.in().equals(linear.out()))
        .findFirst();
  }

  private static Optional<Rows> rows(
      GgufFamily family, BlockSpec block, LinearSpec linear, String stem, int headDim) {
    if (GgufRows.isRotated(stem)) {
      return family.has(GgufFamily.Trait.PAIRS_NEIGHBOURS)
          ? Optional.of(new Pairs(headDim))
          : Optional.empty();
    }
    return stem.equals("attn_qkv")
        ? split(block, linear)
            .filter(split -> split.runs() > 1)
            .map(split -> new Runs(split.runs(), split.parts()))
        : Optional.empty();
  }

  /** Where the rows of a module stand, unless they do as in the checkpoint. */
  public Optional<Rows> rows(String module) {
    return Optional.ofNullable(rows.get(module));
  }

  /** Where the columns of a module stand, unless they do as in the checkpoint. */
  public Optional<TiledHeads> columns(String module) {
    return Optional.ofNullable(columns.get(module));
  }

  /** How a module is cut, if it is two tensors of a file. */
  public Optional<Cut> cut(String module) {
    return Optional.ofNullable(cuts.get(module));
  }

  /**
   * Whether a full-precision weight of the checkpoint is in × out, which one of a file never is.
   */
  public boolean isTransposed(String module) {
    return transposed.contains(module);
  }
}
