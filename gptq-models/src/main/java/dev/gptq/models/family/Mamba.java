package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.Step.Split.Part;
import java.util.Optional;

/**
 * Mamba-2, which takes the place of attention or stands beside it: one projection gives gates,
 * values, keys, queries and lengths of steps; values, keys and queries pass a short convolution; a
 * state for each head forgets by the length of the step and takes up values; gates and perhaps a
 * norm are behind it.
 *
 * @param prefix of the names of modules and tensors
 * @param hidden features of the residual stream
 * @param shape heads, and features of keys and values
 * @param groups heads of keys and queries
 * @param width tokens that the convolution sees
 * @param function behind the convolution
 * @param biases which modules have one
 * @param norm of the gated values, or before gates
 * @param steps shortest and longest step
 * @param factors on what is projected
 */
record Mamba(
    String prefix,
    int hidden,
    Shape shape,
    int groups,
    int width,
    Activation function,
    Biases biases,
    Optional<Gated> norm,
    Limits steps,
    Factors factors)
    implements Body {

  /** Heads, features of a key, features of a value. */
  record Shape(int heads, int keySize, int valueSize) {
    int inner() {
      return Math.multiplyExact(heads, valueSize);
    }
  }

  /** Whether the first projection, the convolution and the last projection have a bias. */
  record Biases(boolean in, boolean convolution, boolean out) {}

  /** A norm of each group's features, before the gates or behind them. */
  record Gated(float epsilon, boolean beforeGate) {}

  /** Shortest and longest step. */
  record Limits(float shortest, float longest) {
    static final Limits NONE = new Limits(0, Float.POSITIVE_INFINITY);

    /** {@code time_step_limit}, whose second number may be infinite. */
    static Limits of(ModelConfig config) {
      if (config.find("time_step_limit").filter(limits -> limits.isArray()).isEmpty()) {
        return NONE;
      }
      var limits = config.find("time_step_limit").get();
      if (limits.size() != 2 || !limits.get(0).isNumber()) {
        throw Switches.refused(
            config, "time_step_limit", limits.toString(), "two numbers are supported");
      }
      float longest =
          limits.get(1).isNumber() ? limits.get(1).floatValue() : Float.POSITIVE_INFINITY;
      return new Limits(limits.get(0).floatValue(), longest);
    }
  }

  /** Factors on gates, values, keys, queries and lengths of steps. */
  record Factors(double z, double x, double b, double c, double dt) {
    static final Factors ONES = new Factors(1, 1, 1, 1, 1);
  }

  static Mamba granite(ModelConfig config) {
    int hidden = config.size("hidden_size");
    int heads = config.heads("mamba_n_heads", 128);
    int inner = Math.multiplyExact(config.intBetween("mamba_expand", 1, 64, 2), hidden);
    boolean bias = config.booleanValue("mamba_proj_bias", false);
    return new Mamba(
        "mamba.",
        hidden,
        new Shape(heads, config.heads("mamba_d_state", 256), evenly(config, inner, heads)),
        config.heads("mamba_n_groups", 1),
        config.heads("mamba_d_conv", 4),
        Switches.activation(config, "hidden_act", "silu"),
        new Biases(bias, config.booleanValue("mamba_conv_bias", true), bias),
        Optional.of(new Gated((float) config.doubleValue("rms_norm_eps", 1e-6), false)),
        Limits.of(config),
        Factors.ONES);
  }

  /** Features of each of some parts. */
  static int evenly(ModelConfig config, int features, int parts) {
    if (features % parts != 0) {
      throw new BadInputException(
          "%s: %d features of Mamba-2 cannot be shared by %d heads evenly; is it the file of another"
                  .formatted(config.file(), features, parts)
              + " model?");
    }
    return features / parts;
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    int inner = shape.inner();
    int keys = Math.multiplyExact(groups, shape.keySize());
    int mixed = inner + 2 * keys;
    ImmutableList.Builder<Step> result = ImmutableList.builder();
    result
        .add(
            new Step.Linears(
                in,
                ImmutableList.of(
                    new LinearSpec(
                        prefix + "in_proj",
                        "projected",
                        inner + mixed + shape.heads(),
                        hidden,
                        biases.in()))))
        .add(
            new Step.Split(
                "projected",
                1,
                ImmutableList.of(
                    new Part("z", inner), new Part("xbc", mixed), new Part("dt", shape.heads()))))
        .addAll(scaled(inner, keys))
        .add(
            new Step.Convolve(
                "xbc", prefix + "conv1d", mixed, width, biases.convolution(), "mixed"))
        .add(new Step.Activate(function, "mixed"))
        .add(
            new Step.Split(
                "mixed",
                1,
                ImmutableList.of(
                    new Part("xs", inner), new Part("bs", keys), new Part("cs", keys))))
        .add(
            new Step.StateSpace(
                "cs",
                "bs",
                "xs",
                "dt",
                new DeltaSpec(
                    shape.heads(),
                    shape.keySize(),
                    shape.valueSize(),
                    prefix + "dt_bias",
                    prefix + "A_log"),
                steps.shortest(),
                steps.longest(),
                "y"))
        .add(new Step.Weigh("xs", prefix + "D", shape.heads(), inner, "skipped"))
        .add(new Step.Add("skipped", "y"))
        .addAll(gated(inner))
        .add(
            new Step.Linears(
                "z",
                ImmutableList.of(
                    new LinearSpec(prefix + "out_proj", out, hidden, inner, biases.out()))));
    return result.build();
  }

  private ImmutableList<Step> scaled(int inner, int keys) {
    if (factors.equals(Factors.ONES)) {
      return ImmutableList.of();
    }
    return ImmutableList.of(
        new Step.Split(
            "xbc",
            1,
            ImmutableList.of(new Part("x1", inner), new Part("b1", keys), new Part("c1", keys))),
        new Step.Scale((float) factors.z(), "z"),
        new Step.Scale((float) factors.x(), "x1"),
        new Step.Scale((float) factors.b(), "b1"),
        new Step.Scale((float) factors.c(), "c1"),
        new Step.Scale((float) factors.dt(), "dt"));
  }

  /** What the last projection reads, in place of the gates. */
  private ImmutableList<Step> gated(int inner) {
    Step gate = new Step.Gate(Activation.SILU, "z", "y");
    if (norm.isEmpty()) {
      return ImmutableList.of(gate);
    }
    String of = norm.get().beforeGate() ? "y" : "z";
    ImmutableList<Step> normalised =
        ImmutableList.of(
            new Step.Norm(
                of,
                of,
                new NormSpec("plain." + of, Kind.RMS_PLAIN, inner / groups, norm.get().epsilon())),
            new Step.Weigh(of, prefix + "norm.weight", inner, inner, of));
    return norm.get().beforeGate()
        ? ImmutableList.<Step>builder().addAll(normalised).add(gate).build()
        : ImmutableList.<Step>builder().add(gate).addAll(normalised).build();
  }
}
