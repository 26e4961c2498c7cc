package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import java.util.Optional;

/**
 * One step of a decoder block. A block is a list of steps over named activations, each tokens ×
 * features; {@code x} is the residual stream that enters and leaves the block. The forward pass,
 * the calibration, the order of quantization, the writer and {@code inspect} all read this one
 * list.
 */
public sealed interface Step {
  /** The name of the residual stream. */
  String RESIDUAL = "x";

  /** Activations that the step reads, and those that it changes in place. */
  ImmutableSet<String> reads();

  /** Activations that the step defines anew. */
  default ImmutableSet<String> defines() {
    return ImmutableSet.of();
  }

  /**
   * A normalisation.
   *
   * @param in what is normalised
   * @param out the result; may be {@code in}
   * @param kind formula and where its parameters are
   */
  record Norm(String in, String out, NormSpec kind) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return in.equals(out) ? ImmutableSet.of() : ImmutableSet.of(out);
    }
  }

  /**
   * Linear layers that read the same input, and so share one Hessian.
   *
   * @param in the shared input
   * @param modules the layers, in the order in which they are quantized
   */
  record Linears(String in, ImmutableList<LinearSpec> modules) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return modules.stream().map(LinearSpec::out).collect(ImmutableSet.toImmutableSet());
    }
  }

  /**
   * A linear layer that stays in full precision.
   *
   * @param in its input
   * @param module the layer
   */
  record Project(String in, LinearSpec module) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(module.out());
    }
  }

  /**
   * The causal convolution of each feature over a few tokens.
   *
   * @param in its input
   * @param module name of the module, whose weight is features × 1 × width
   * @param features of input and output
   * @param width tokens that an output sees
   * @param bias whether there is a bias
   * @param out the result
   */
  record Convolve(String in, String module, int features, int width, boolean bias, String out)
      implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /**
   * The gated delta rule over a state that is carried from token to token. Queries and keys have
   * {@code keySize} features in each of their heads, which the heads of the values share.
   *
   * @param q queries
   * @param k keys
   * @param v values
   * @param a what the decay is computed from: {@code exp(−e^rate·ln(1 + e^(a + shift)))}
   * @param beta how much of a new value is taken
   * @param spec shapes and names
   * @param out the result, as v
   */
  record DeltaRule(String q, String k, String v, String a, String beta, DeltaSpec spec, String out)
      implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(q, k, v, a, beta);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /**
   * A selective state space, as in Mamba-2. Queries and keys have {@code keySize} features in each
   * of their heads, which the heads of the values share.
   *
   * @param q what is asked of the state
   * @param k where values go in the state
   * @param v values
   * @param dt what the length of a step is computed from: {@code ln(1 + e^(dt + shift))}
   * @param spec shapes and names
   * @param shortest least length of a step
   * @param longest greatest length of a step
   * @param out the result, as v
   */
  record StateSpace(
      String q,
      String k,
      String v,
      String dt,
      DeltaSpec spec,
      float shortest,
      float longest,
      String out)
      implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(q, k, v, dt);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /**
   * Multiplies each feature by a stored number: {@code out[c] = numbers[c·size/columns]·in[c]}.
   *
   * @param in what is multiplied
   * @param numbers name of the tensor below the block
   * @param size how many numbers it has
   * @param columns features of in, of which as many share a number as there are for each
   * @param out the result; may be {@code in}
   */
  record Weigh(String in, String numbers, int size, int columns, String out) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return in.equals(out) ? ImmutableSet.of() : ImmutableSet.of(out);
    }
  }

  /** {@code of ← min(max(of, low), high)}. */
  record Clamp(float low, float high, String of) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /**
   * The activation xIELU, in place, with {@code αp = ln(1 + e^alpha_p)} and {@code αn = beta + ln(1
   * + e^alpha_n)}: {@code αp·x² + beta·x} where x is positive, else {@code αn·(e^x − 1 − x) +
   * beta·x}.
   *
   * @param of what it is applied to
   * @param module what holds {@code alpha_p}, {@code alpha_n} and {@code beta}
   */
  record Xielu(String of, String module) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /**
   * Scales queries by their position p: {@code of ← (1 + factor·ln(1 + ⌊(p + first)/run⌋))·of}.
   *
   * @param of queries
   * @param first number of the first position, 0 or 1
   * @param run positions that have the same factor
   * @param factor how much it grows
   */
  record Temper(String of, int first, int run, double factor) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /**
   * Takes a fused output apart. With several runs, the parts of each run lie side by side in the
   * fused output and those of all runs in each part: {@code q0 k0 v0 q1 k1 v1 …}.
   *
   * @param in the fused activation
   * @param runs number of runs; 1 if each part is one stretch of columns
   * @param parts what it is made of, in order
   */
  record Split(String in, int runs, ImmutableList<Part> parts) implements Step {
    /** A part: its name and its columns in all runs together. */
    public record Part(String name, int columns) {}

    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return parts.stream().map(Part::name).collect(ImmutableSet.toImmutableSet());
    }
  }

  /**
   * Puts parts side by side, head by head: {@code q0 r0 q1 r1 …}.
   *
   * @param parts what a head is made of, in order
   * @param heads how many there are
   * @param out the result
   */
  record Join(ImmutableList<Piece> parts, int heads, String out) implements Step {
    /**
     * A piece.
     *
     * @param name an activation
     * @param columns of each head
     * @param size columns that a head has in it, of which the first are taken; 0 if all heads share
     *     its first columns
     */
    public record Piece(String name, int columns, int size) {}

    @Override
    public ImmutableSet<String> reads() {
      return parts.stream().map(Piece::name).collect(ImmutableSet.toImmutableSet());
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /**
   * Learned positions: {@code x[t] ← x[t] + table[position of t + offset]}.
   *
   * @param table name of the table below the block
   * @param rows rows of the table
   * @param columns features of x
   * @param offset row of position 0
   * @param to what they are added to
   */
  record Positions(String table, int rows, int columns, int offset, String to) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(to);
    }
  }

  /**
   * The rows of a table for the tokens, in the opening only.
   *
   * @param table name of the table below the block
   * @param rows rows of the table
   * @param columns features of a row
   * @param out the result
   */
  record Lookup(String table, int rows, int columns, String out) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of();
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /** {@code of ← factor·of}. */
  record Scale(float factor, String of) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /**
   * Rotary positions, in place.
   *
   * @param of queries or keys
   * @param headSize channels of a head
   * @param rope by how much
   */
  record Rope(String of, int headSize, RopeSpec rope) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /**
   * Causal attention of queries q over keys k and values v.
   *
   * @param sinks name of the scores below the block, one for each head, that take part in the
   *     softmax and have no value
   * @param chunk positions of a sequence that see each other only; 0 if all do
   */
  record Attention(
      String q,
      String k,
      String v,
      String out,
      AttentionSpec spec,
      Optional<String> sinks,
      int chunk)
      implements Step {

    /** Without sinks, over the whole sequence. */
    public Attention(String q, String k, String v, String out, AttentionSpec spec) {
      this(q, k, v, out, spec, Optional.empty(), 0);
    }

    /** The same with sinks. */
    public Attention withSinks(String name) {
      return new Attention(q, k, v, out, spec, Optional.of(name), chunk);
    }

    /** The same in chunks. */
    public Attention withChunk(int positions) {
      return new Attention(q, k, v, out, spec, sinks, positions);
    }

    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(q, k, v);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /** An activation function, in place. */
  record Activate(Activation function, String of) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /** A gated activation: {@code gate ← f(gate)·up}. */
  record Gate(Activation function, String gate, String up) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(gate, up);
    }
  }

  /** {@code to ← to + what}. */
  record Add(String what, String to) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(what, to);
    }
  }

  /**
   * Chooses experts for every token by the logits x·Wᵀ + b.
   *
   * @param in what the router reads
   * @param router its weights, never quantized; {@code out} is the name of the routes
   * @param routing what is chosen
   */
  record Route(String in, LinearSpec router, Routing routing) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(router.out());
    }
  }

  /**
   * The rows of the tokens that chose an expert. Steps over an expert without tokens are idle.
   *
   * @param weighted whether rows are multiplied by the weights of the expert
   */
  record Gather(String in, String routes, int expert, boolean weighted, String out)
      implements Step {
    /** The rows as they are. */
    public Gather(String in, String routes, int expert, String out) {
      this(in, routes, expert, false, out);
    }

    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(in, routes);
    }

    @Override
    public ImmutableSet<String> defines() {
      return ImmutableSet.of(out);
    }
  }

  /**
   * Adds an expert's rows to the rows of the tokens that chose it.
   *
   * @param weighted whether they are multiplied by the weights of the expert
   */
  record Scatter(String what, String routes, int expert, boolean weighted, String to)
      implements Step {
    /** The rows times their weights. */
    public Scatter(String what, String routes, int expert, String to) {
      this(what, routes, expert, true, to);
    }

    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(what, routes, to);
    }
  }
}
