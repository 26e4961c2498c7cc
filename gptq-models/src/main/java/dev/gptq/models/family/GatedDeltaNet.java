package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.Step.Join;
import dev.gptq.models.family.Step.Split.Part;

/**
 * Gated DeltaNet, which takes the place of attention: queries, keys and values pass a short
 * convolution, a state for each head learns values by their keys and forgets, and its answers are
 * normalised and gated. Decay and learning rate come from projections that stay in full precision.
 *
 * @param hidden features of the residual stream
 * @param keyHeads heads of queries and keys
 * @param heads heads of values
 * @param keySize features of a key
 * @param valueSize features of a value
 * @param width tokens that the convolution sees
 * @param function behind the convolution
 * @param epsilon of the norm
 * @param fused whether the projections are two, whose parts follow each other in each key head
 */
record GatedDeltaNet(
    int hidden,
    int keyHeads,
    int heads,
    int keySize,
    int valueSize,
    int width,
    Activation function,
    float epsilon,
    boolean fused)
    implements Body {

  static GatedDeltaNet of(ModelConfig config, boolean fused) {
    return new GatedDeltaNet(
        config.size("hidden_size"),
        config.heads("linear_num_key_heads", 16),
        config.heads("linear_num_value_heads", 32),
        config.heads("linear_key_head_dim", 128),
        config.heads("linear_value_head_dim", 128),
        config.heads("linear_conv_kernel_dim", 4),
        Switches.activation(config, "hidden_act", "silu"),
        (float) config.doubleValue("rms_norm_eps", 1e-6),
        fused);
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    int keys = keyHeads * keySize;
    int values = heads * valueSize;
    // x/√(Σx² + ε) is the root mean square of n features times 1/√n, with ε/n inside.
    double unit = 1 / Math.sqrt(keySize);
    return ImmutableList.<Step>builder()
        .addAll(fused ? fusedProjections(in, keys, values) : projections(in, keys, values))
        .add(
            new Step.Convolve(
                "qkv", "linear_attn.conv1d", 2 * keys + values, width, false, "mixed"))
        .add(new Step.Activate(function, "mixed"))
        .add(
            new Step.Split(
                "mixed",
                1,
                ImmutableList.of(new Part("q", keys), new Part("k", keys), new Part("v", values))))
        .add(unit("q"))
        .add(unit("k"))
        .add(new Step.Scale((float) (unit * unit), "q"))
        .add(new Step.Scale((float) unit, "k"))
        .add(new Step.Activate(Activation.SIGMOID, "b"))
        .add(
            new Step.DeltaRule(
                "q",
                "k",
                "v",
                "a",
                "b",
                new DeltaSpec(
                    heads, keySize, valueSize, "linear_attn.dt_bias", "linear_attn.A_log"),
                "y"))
        .add(
            new Step.Norm("y", "y", new NormSpec("linear_attn.norm", Kind.RMS, valueSize, epsilon)))
        // Whatever hidden_act says: it is that of the convolution and of feed-forward layers.
        .add(new Step.Gate(Activation.SILU, "z", "y"))
        .add(new Step.Linears("z", ImmutableList.of(linear("out_proj", out, hidden, values))))
        .build();
  }

  private ImmutableList<Step> projections(String in, int keys, int values) {
    return ImmutableList.of(
        new Step.Linears(
            in,
            ImmutableList.of(
                linear("in_proj_qkv", "qkv", 2 * keys + values, hidden),
                linear("in_proj_z", "z", values, hidden))),
        new Step.Project(in, linear("in_proj_b", "b", heads, hidden)),
        new Step.Project(in, linear("in_proj_a", "a", heads, hidden)));
  }

  private ImmutableList<Step> fusedProjections(String in, int keys, int values) {
    return ImmutableList.of(
        new Step.Linears(
            in, ImmutableList.of(linear("in_proj_qkvz", "qkvz", 2 * keys + 2 * values, hidden))),
        new Step.Project(in, linear("in_proj_ba", "ba", 2 * heads, hidden)),
        new Step.Split(
            "qkvz",
            keyHeads,
            ImmutableList.of(
                new Part("qs", keys),
                new Part("ks", keys),
                new Part("vs", values),
                new Part("z", values))),
        new Step.Split(
            "ba", keyHeads, ImmutableList.of(new Part("b", heads), new Part("a", heads))),
        new Join(
            ImmutableList.of(
                new Join.Piece("qs", keys, keys),
                new Join.Piece("ks", keys, keys),
                new Join.Piece("vs", values, values)),
            1,
            "qkv"));
  }

  private Step unit(String of) {
    return new Step.Norm(
        of, of, new NormSpec("unit." + of, Kind.RMS_PLAIN, keySize, 1e-6f / keySize));
  }

  private static LinearSpec linear(String module, String out, int outputs, int inputs) {
    return new LinearSpec("linear_attn." + module, out, outputs, inputs, false);
  }
}
