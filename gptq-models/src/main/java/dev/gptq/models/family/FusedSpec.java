package dev.gptq.models.family;

/**
 * The place of a linear layer's weight in a tensor of three dimensions that holds those of all
 * experts, and for each expert perhaps those of several layers.
 *
 * @param tensor its name below the block; that of the biases ends in {@code _bias} in addition
 * @param expert which of the matrices along the first dimension
 * @param layer which of the layers of a matrix
 * @param layers how many layers a matrix holds
 * @param order how their outputs follow each other
 * @param storage which dimension of a matrix comes first
 */
public record FusedSpec(
    String tensor, int expert, int layer, int layers, Order order, LinearSpec.Storage storage) {

  /** How the outputs of several layers follow each other. */
  public enum Order {
    /** All of the first layer, then all of the next. */
    BEHIND,
    /** The first output of each layer, then the second of each. */
    INTERLEAVED
  }

  /** The first output of the layer, where it has that many. */
  public int first(int outputs) {
    return order == Order.BEHIND ? layer * outputs : layer;
  }

  /** How far its outputs are apart. */
  public int step() {
    return order == Order.BEHIND ? 1 : layers;
  }
}
