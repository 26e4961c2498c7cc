package dev.gptq.models.forward;

import dev.gptq.tensor.Tensor;
import java.util.function.Consumer;

/**
 * Keeps the residual stream before each block from the way forward of a {@link BackwardPass} to its
 * way back: the last that was put is the first to be taken. It may do so anywhere, as long as what
 * is taken has the bits of what was put.
 */
public interface Borders {
  /**
   * Puts a stream aside.
   *
   * @param stream with contiguous rows; may change as soon as this returns
   */
  void put(Tensor stream);

  /**
   * Takes the last stream that was put and has not been taken.
   *
   * @param reader is given it; it is gone when the call returns
   */
  void take(Consumer<Tensor> reader);
}
