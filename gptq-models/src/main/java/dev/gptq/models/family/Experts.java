package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * Feed-forward layers of which every token chooses some, and perhaps one that all tokens take.
 *
 * @param router name of the router's module
 * @param hidden features of the residual stream
 * @param routing how a token chooses
 * @param experts the layers
 * @param shared the layer of all tokens, if there is one
 * @param routerBias whether the router has a bias
 * @param weighsInputs whether weights multiply what an expert reads, not what comes out
 */
public record Experts(
    String router,
    int hidden,
    Routing routing,
    ImmutableList<Body> experts,
    Optional<Shared> shared,
    boolean routerBias,
    boolean weighsInputs) {

  /**
   * A layer that all tokens take.
   *
   * @param body the layer
   * @param gate module of one output whose logistic function multiplies the result, if there is one
   */
  public record Shared(Body body, Optional<String> gate) {}

  /** Without a shared layer. */
  public Experts(String router, int hidden, Routing routing, ImmutableList<Body> experts) {
    this(router, hidden, routing, experts, Optional.empty(), false, false);
  }

  /** The same with a shared layer. */
  public Experts withShared(Body body, Optional<String> gate) {
    return new Experts(
        router,
        hidden,
        routing,
        experts,
        Optional.of(new Shared(body, gate)),
        routerBias,
        weighsInputs);
  }

  /** The same with a router that has a bias. */
  public Experts withRouterBias() {
    return new Experts(router, hidden, routing, experts, shared, true, weighsInputs);
  }

  /** The same with weights on what the experts read. */
  public Experts weighingInputs() {
    return new Experts(router, hidden, routing, experts, shared, routerBias, true);
  }

  /** The steps from a normalised activation into the residual stream, expert after expert. */
  public ImmutableList<Step> steps(String in, String to) {
    return steps(in, in, to);
  }

  /** The same with a router that reads another activation than the experts. */
  ImmutableList<Step> steps(String routed, String in, String to) {
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    LinearSpec gate = new LinearSpec(router, "routes", experts.size(), hidden, routerBias);
    steps.add(new Step.Route(routed, gate, routing));
    for (int e = 0; e < experts.size(); e++) {
      steps.addAll(expert(in, to, "routes", e, "expert" + e, experts.get(e), weighsInputs));
    }
    shared.ifPresent(layer -> steps.addAll(steps(layer, in, to)));
    return steps.build();
  }

  private static ImmutableList<Step> expert(
      String in, String to, String routes, int index, String rows, Body body, boolean weighsInput) {
    String result = rows + ".out";
    return ImmutableList.<Step>builder()
        .add(new Step.Gather(in, routes, index, weighsInput, rows))
        .addAll(body.steps(rows, result))
        .add(new Step.Scatter(result, routes, index, !weighsInput, to))
        .build();
  }

  /** A gate is a router with one expert that all tokens choose. */
  private ImmutableList<Step> steps(Shared layer, String in, String to) {
    if (layer.gate().isEmpty()) {
      return ImmutableList.<Step>builder()
          .addAll(layer.body().steps(in, "shared"))
          .add(new Step.Add("shared", to))
          .build();
    }
    LinearSpec gate = new LinearSpec(layer.gate().get(), "shared.routes", 1, hidden, false);
    Routing all =
        new Routing(1, Routing.Score.SIGMOID, false, 1, Optional.empty(), Routing.Groups.NONE);
    return ImmutableList.<Step>builder()
        .add(new Step.Route(in, gate, all))
        .addAll(expert(in, to, "shared.routes", 0, "shared", layer.body(), false))
        .build();
  }
}
