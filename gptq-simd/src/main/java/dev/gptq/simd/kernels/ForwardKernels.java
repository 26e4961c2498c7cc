package dev.gptq.simd.kernels;

import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/**
 * What a model computes between its products with packed weights, in place of what is written in
 * Java: so that a process that lives for seconds has no vectors to compile. Everything is float32
 * in native memory, rows of tokens, but for keys and values that are kept in bfloat16. Sums have
 * the order of those in Java where the same bits are promised; a row's result never depends on the
 * rows beside it, nor on the processor.
 *
 * <p>Methods may be called by several threads at once, with different results.
 */
public interface ForwardKernels {
  /** The most channels of a head that {@link #attention} takes. */
  int CHANNELS = 256;

  /** The most queries that {@link #attention} takes at a time. */
  int QUERIES = 64;

  /**
   * Rows of a matrix.
   *
   * @param segment from the first number of the first row on
   * @param stride numbers from one row to the next
   */
  record Rows(MemorySegment segment, long stride) {}

  /** How many rows and columns an operation has. */
  record Shape(int rows, int columns) {}

  /** Gated activations, {@code y ← f(gate)·up}. */
  enum Gate {
    /** {@code f(x) = x/(1 + e^(−x))}. */
    SILU,
    /** {@code f(x) = x/(1 + e^(−2t))}, {@code t = √(2/π)(x + 0.044715x³)}. */
    GELU_TANH
  }

  /**
   * {@code y ← x/√(mean(x²) + ε)·gain} on every run of {@code size} columns; y may be x. The bits
   * are those of Java.
   */
  void rmsNorm(Rows x, Rows gain, int size, float epsilon, Rows y, Shape shape);

  /**
   * Turns pairs of numbers in each head of {@code headSize} columns, {@code a ← a·cos − b·sin},
   * {@code b ← b·cos + a·sin}. The bits are those of Java.
   *
   * @param adjacent whether numbers of a pair are neighbours, or else {@code pairs} apart
   * @param cosine a row for each position, as long as there are pairs
   * @param first position of the first row
   * @param length rows of a sequence: after so many, positions begin again at first
   */
  void rotate(
      Rows x,
      int headSize,
      boolean adjacent,
      Rows cosine,
      Rows sine,
      int pairs,
      int first,
      int length,
      Shape shape);

  /** {@code y ← f(gate)·up}; y may be gate. The bits are those of Java. */
  void gate(Gate f, Rows gate, Rows up, Rows y, Shape shape);

  /** {@code y ← y + x}. */
  void add(Rows x, Rows y, Shape shape);

  /**
   * {@code y ← x}, rounded to the nearest bfloat16, ties to even; rows of y count numbers of 2
   * bytes. The bits are those of Java.
   */
  void narrow(Rows x, Rows y, Shape shape);

  /** {@code y ← xᵀ}; the shape is that of x. */
  void transpose(Rows x, Rows y, Shape shape);

  /**
   * {@code y ← α·x·Wᵀ} for few rows x; each has the bits of a single row in Java.
   *
   * @param depth columns of x and w
   * @param shape rows of x, and rows of w, which are the columns of y
   */
  void products(float alpha, Rows x, Rows w, int depth, Rows y, Shape shape);

  /**
   * Causal attention of some queries of each of some heads of keys, {@code y ← Σ_j e^(s_j)·v_j /
   * Σ_j e^(s_j)} with {@code s_j = scale·q·k_j}.
   *
   * @param kept type of keys and values: F32, or BF16, whose rows count numbers of 2 bytes
   * @param heads of keys; those of the next head begin as many columns further in k and v as a head
   *     has channels, its queries and their results behind the rows of this one
   * @param k keys of the first head, from position 0 on
   * @param v values, likewise
   * @param first position of the first query; it sees this key and those before it
   * @param step positions from one query to the next: 1, or 0 where queries are heads that share
   *     keys
   * @param window the last keys that a query sees; 0 for all
   * @param shape queries of a head, of at most {@link #CHANNELS} channels; of all heads at most
   *     {@link #QUERIES}
   */
  void attention(
      DType kept,
      int heads,
      Rows q,
      Rows k,
      Rows v,
      float scale,
      int first,
      int step,
      int window,
      Rows y,
      Shape shape);
}
