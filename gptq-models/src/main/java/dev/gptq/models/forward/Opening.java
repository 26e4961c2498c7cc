package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/** What comes before the first block: the embedding and what follows it. */
public final class Opening {
  private final Backend backend;
  private final Tensor table;
  private final Block steps;

  /** Loads the weights into {@code scope}. */
  public Opening(
      Backend backend, DecoderSpec spec, WeightSource source, RopeTables ropes, TensorScope scope) {
    this(
        backend,
        source.matrix(spec.embedding().table(), spec.vocabulary(), spec.embedding().size(), scope),
        new Block(backend, spec.opening(), source, ropes, scope));
  }

  private Opening(Backend backend, Tensor table, Block steps) {
    this.backend = backend;
    this.table = table;
    this.steps = steps;
  }

  /** The same dense weights for work of a lane of the backend, which has tables of its own. */
  public Opening on(Backend lane, RopeTables ropes) {
    return new Opening(lane, table, steps.on(lane, ropes));
  }

  /** The embedding, vocabulary × size. */
  Tensor table() {
    return table;
  }

  /** Defines the residual stream of windows of token ids. */
  public void embed(List<int[]> windows, Registers registers, TensorScope local) {
    embed(windows, registers, Pass.windows(windows.size()), local);
  }

  /** The same for windows that go on at a later position. */
  void embed(List<int[]> windows, Registers registers, Pass pass, TensorScope local) {
    Tensor tokens = Decoder.tokens(windows, local);
    registers.define(
        Step.RESIDUAL,
        tokens.columns(),
        table.columns(),
        x -> backend.transformer().embed(table, tokens, x));
    steps.run(registers, pass.of(tokens));
  }
}
