package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;

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
   * Rotary positions, in place.
   *
   * @param of queries or keys
   * @param headSize channels of a head
   */
  record Rope(String of, int headSize) implements Step {
    @Override
    public ImmutableSet<String> reads() {
      return ImmutableSet.of(of);
    }
  }

  /** Causal attention of queries q over keys k and values v. */
  record Attention(String q, String k, String v, String out, AttentionSpec spec) implements Step {
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
}
