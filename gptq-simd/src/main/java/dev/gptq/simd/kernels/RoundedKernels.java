package dev.gptq.simd.kernels;

import dev.gptq.backend.Availability;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Products of weights of 2 to 8 bits with activations rounded to 8 bits, in place of those that are
 * written in Java. {@link java.util.ServiceLoader} finds them; the setting {@code simd.kernels}
 * says whether they are used. With x by slot, for each chunk c of 32 slots
 *
 * <pre>
 *   a_c = max|x|/127        q_i = rint(x_i·(127/max|x|))
 * </pre>
 *
 * (both 0 where max|x| is less than 2^−118; a_c NaN where an x is not finite), and each output is
 * the float32 sum, fused and in this order,
 *
 * <pre>
 *   y = Σ_c (Σ_i q_i·(u_i − h))·(s·a_c) + Σ_g (s·(h − z))·(Σ_c a_c·Σ_i q_i)
 * </pre>
 *
 * with h = 2^(bits − 1), s and z those of the chunk's or the sum's group; a fixed zero point is
 * {@code s·((h − z)·Σ)}, and left out where z is h. All implementations give the same bits.
 *
 * <p>Methods may be called by several threads at once, with different rows or different tiles.
 */
public interface RoundedKernels {
  /** Rounded rows lie in groups of so many: behind whole ones the next begin. */
  int ROWS = 16;

  /** Why these kernels cannot run here, if so. */
  Optional<Availability.Unavailable> refusal();

  /** The instructions that they use here, such as {@code AVX2}; asked where nothing is refused. */
  String instructions();

  /** Bytes of so many rounded rows. */
  long bytes(RoundedWeights weights, int tokens);

  /**
   * Rounds one row of activations.
   *
   * @param x float32 by slot, 32·chunks
   * @param token the row's number
   * @param tokens how many rows there are
   * @param rows all rounded rows, in a form of the implementation's own
   */
  void round(RoundedWeights weights, MemorySegment x, int token, int tokens, MemorySegment rows);

  /**
   * Multiplies tiles {@code first} to {@code end − 1} with all rows, or with some.
   *
   * @param rows from the first row wanted on, which is at {@link #bytes} of those before it, whose
   *     number is a multiple of {@link #ROWS}
   * @param tokens how many rows: another multiple, or all that are left
   * @param y float32, {@code stride} from one row of outputs to the next
   */
  void multiply(
      RoundedWeights weights,
      int first,
      int end,
      MemorySegment rows,
      int tokens,
      MemorySegment y,
      long stride);

  /** The rest of the forward pass; asked where nothing is refused. */
  ForwardKernels forward();

  /** Products of dense matrices; asked where nothing is refused. */
  DenseKernels dense();

  /** The inner loop of GPTQ; asked where nothing is refused. */
  ColumnKernels columns();
}
