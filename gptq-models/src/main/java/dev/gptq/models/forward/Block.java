package dev.gptq.models.forward;

import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A decoder block with its weights: runs the steps of its description over {@link Registers}. */
public final class Block {
  private final Backend backend;
  private final BlockSpec spec;
  private final Optional<RopeTable> rope;
  private final Map<String, Linear> linears = new HashMap<>();
  private final Map<Step.Norm, Norm> norms = new HashMap<>();

  /** Loads the weights of a block into {@code scope}. */
  public Block(
      Backend backend,
      BlockSpec spec,
      WeightSource source,
      Optional<RopeTable> rope,
      TensorScope scope) {
    this.backend = backend;
    this.spec = spec;
    this.rope = rope;
    for (Step step : spec.steps()) {
      if (step instanceof Step.Norm norm) {
        String name = spec.prefix() + norm.kind().name();
        norms.put(norm, Norm.load(source, name, norm.kind(), scope));
      }
    }
    spec.linears()
        .forEach(m ->
            linears.put(
                m.module(),
                source.linear(spec.nameOf(m), m.outputs(), m.inputs(), m.bias(), scope)));
  }

  /** The description. */
  public BlockSpec spec() {
    return spec;
  }

  /** The weights of one of its linear layers. */
  public Linear linear(LinearSpec linear) {
    return linears.get(linear.module());
  }

  /** Replaces the weights of a linear layer, as when it has been quantized. */
  public void replace(LinearSpec linear, Linear weights) {
    linears.put(linear.module(), weights);
  }

  /** Runs all steps; the residual stream is updated in place. */
  void run(Registers registers, Pass pass) {
    run(registers, pass, 0, spec.steps().size());
  }

  /** Runs steps {@code from} (inclusive) to {@code to} (exclusive) on whole windows. */
  public void run(Registers registers, int sequences, int from, int to) {
    run(registers, Pass.windows(sequences), from, to);
  }

  private void run(Registers registers, Pass pass, int from, int to) {
    for (int i = from; i < to; i++) {
      run(spec.steps().get(i), registers, pass);
      for (String dead : deadAfter(i)) {
        registers.release(dead);
      }
    }
  }

  /** Activations that step i reads or defines and no later step reads. */
  private Set<String> deadAfter(int i) {
    Step step = spec.steps().get(i);
    Set<String> dead = new HashSet<>(step.reads());
    dead.addAll(step.defines());
    dead.remove(Step.RESIDUAL);
    for (Step later : spec.steps().subList(i + 1, spec.steps().size())) {
      dead.removeAll(later.reads());
    }
    return ImmutableSet.copyOf(dead);
  }

  private void run(Step step, Registers registers, Pass pass) {
    switch (step) {
      case Step.Norm norm -> {
        Tensor x = registers.get(norm.in());
        Tensor y =
            norm.defines().isEmpty() ? x : registers.define(norm.out(), x.rows(), x.columns());
        norms.get(norm).apply(backend, x, y);
      }
      case Step.Linears group -> {
        Tensor x = registers.get(group.in());
        for (LinearSpec m : group.modules()) {
          Tensor y = registers.define(m.out(), x.rows(), m.outputs());
          linears.get(m.module()).apply(backend, x, y);
        }
      }
      case Step.Rope r -> {
        RopeTable table = rope.orElseThrow();
        backend
            .transformer()
            .rope(
                registers.get(r.of()),
                r.headSize(),
                table.cosine(),
                table.sine(),
                pass.firstPosition(),
                pass.sequences());
      }
      case Step.Attention a -> {
        Tensor q = registers.get(a.q());
        backend
            .transformer()
            .attention(
                q,
                withHistory(a.k(), registers, pass),
                withHistory(a.v(), registers, pass),
                a.spec(),
                pass.sequences(),
                registers.define(a.out(), q.rows(), q.columns()));
      }
      case Step.Activate a -> {
        Tensor x = registers.get(a.of());
        backend.transformer().activate(a.function(), x, x);
      }
      case Step.Gate g -> {
        Tensor gate = registers.get(g.gate());
        backend.transformer().gate(g.function(), gate, registers.get(g.up()), gate);
      }
      case Step.Add add ->
          backend.transformer().add(registers.get(add.what()), registers.get(add.to()));
    }
  }

  private static Tensor withHistory(String name, Registers registers, Pass pass) {
    Tensor rows = registers.get(name);
    return pass.cache().map(cache -> cache.append(name, rows, pass.firstPosition())).orElse(rows);
  }
}
