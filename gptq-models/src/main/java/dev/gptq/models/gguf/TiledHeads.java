package dev.gptq.models.gguf;

import java.util.Optional;

/**
 * Heads of values, of which several share a head of keys. A checkpoint has those of one key behind
 * each other; a file has the first of all keys, then the second of all.
 *
 * @param from rows or columns before the first head, which stay where they are
 * @param keys heads of keys
 * @param each heads of values for one of keys
 * @param size rows or columns of a head
 */
public record TiledHeads(int from, int keys, int each, int size) implements GgufOrder.Rows {

  private static TiledHeads of(StateShape shape, int from, int size) {
    return new TiledHeads(from, shape.groups(), shape.heads() / shape.groups(), size);
  }

  /** In the rows of a tensor, by its name below a block in a file. */
  static Optional<TiledHeads> rows(String stem, StateShape shape) {
    return switch (stem) {
      case "attn_qkv", "ssm_conv1d" ->
          Optional.of(of(shape, 2 * shape.groups() * shape.keySize(), shape.valueSize()));
      case "attn_gate" -> Optional.of(of(shape, 0, shape.valueSize()));
      case "ssm_alpha", "ssm_beta", "ssm_a", "ssm_dt" -> Optional.of(of(shape, 0, 1));
      default -> Optional.empty();
    };
  }

  /** The same in the columns. */
  static Optional<TiledHeads> columns(String stem, StateShape shape) {
    return stem.equals("ssm_out") ? Optional.of(of(shape, 0, shape.valueSize())) : Optional.empty();
  }

  @Override
  public int inCheckpoint(int row) {
    if (row < from) {
      return row;
    }
    int head = (row - from) / size;
    return from + (head % keys * each + head / keys) * size + (row - from) % size;
  }

  @Override
  public int inFile(int row) {
    if (row < from) {
      return row;
    }
    int head = (row - from) / size;
    return from + (head % each * keys + head / each) * size + (row - from) % size;
  }

  @Override
  public boolean fits(int count) {
    return count == from + keys * each * size;
  }
}
