package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Opening;
import dev.gptq.models.forward.Registers;
import dev.gptq.models.forward.RopeTables;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * How many tokens of the windows that it was shown reach each expert of a model in full precision.
 * Experts are named by the full name of their modules without its last part.
 */
public final class ExpertCounts {
  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final Predicate<String> selection;
  private final Map<String, Long> tokens = new LinkedHashMap<>();

  /** Of the experts that have a module which is to be quantized. */
  public ExpertCounts(
      Backend backend, DecoderSpec spec, WeightSource source, Predicate<String> selection) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.selection = selection;
    experts(spec, selection).forEach(expert -> tokens.put(expert, 0L));
  }

  /** The experts that have a module which is to be quantized, in the order of the blocks. */
  public static ImmutableList<String> experts(DecoderSpec spec, Predicate<String> selection) {
    ImmutableList.Builder<String> experts = ImmutableList.builder();
    for (BlockSpec block : spec.blocks()) {
      for (int i = 0; i < block.steps().size(); i++) {
        if (block.steps().get(i) instanceof Step.Gather) {
          expert(block, i, selection).ifPresent(experts::add);
        }
      }
    }
    return experts.build();
  }

  /** The expert whose tokens a step gathers, if a module of it is to be quantized. */
  private static Optional<String> expert(BlockSpec block, int gather, Predicate<String> selection) {
    for (Step step : block.steps().subList(gather, block.steps().size())) {
      if (step instanceof Step.Linears group) {
        for (LinearSpec module : group.modules()) {
          String name = block.nameOf(module);
          if (selection.test(name)) {
            return Optional.of(expertOf(name));
          }
        }
      }
      if (step instanceof Step.Scatter) {
        break;
      }
    }
    return Optional.empty();
  }

  /** The name of the expert that a module belongs to. */
  public static String expertOf(String module) {
    return module.substring(0, module.lastIndexOf('.'));
  }

  /** Takes windows of equal length through the model and adds what reaches its experts. */
  public void add(ImmutableList<int[]> windows) {
    try (TensorScope scope = backend.newScope()) {
      RopeTables ropes = new RopeTables(scope);
      List<CalibrationBatch> batches = embed(windows, ropes, scope);
      for (BlockSpec block : spec.blocks()) {
        try (TensorScope local = backend.newScope()) {
          Block loaded = new Block(backend, block, source, ropes, local);
          batches.forEach(batch -> add(batch, loaded));
        }
      }
      batches.forEach(CalibrationBatch::close);
    }
  }

  private List<CalibrationBatch> embed(
      ImmutableList<int[]> windows, RopeTables ropes, TensorScope scope) {
    List<CalibrationBatch> batches = new ArrayList<>();
    try (TensorScope local = backend.newScope()) {
      Opening opening = new Opening(backend, spec, source, ropes, local);
      int first = 0;
      for (List<int[]> batch : Perplexity.batches(windows, Dealing.BATCH_TOKENS)) {
        Registers registers = new Registers(backend, scope);
        opening.embed(batch, registers, local);
        batches.add(
            new CalibrationBatch(batches.size(), first, batch.size(), registers, Optional.empty()));
        first += batch.stream().mapToInt(window -> window.length).sum();
      }
    }
    return batches;
  }

  private void add(CalibrationBatch batch, Block block) {
    List<Step> steps = block.spec().steps();
    int from = 0;
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Gather gather) {
        batch.run(block, Optional.empty(), from, i);
        from = i;
        long rows = batch.registers().rows(gather);
        expert(block.spec(), i, selection)
            .ifPresent(expert -> tokens.merge(expert, rows, Long::sum));
      }
    }
    batch.run(block, Optional.empty(), from, steps.size());
  }

  /** Tokens of each expert so far. */
  public ImmutableMap<String, Long> tokens() {
    return ImmutableMap.copyOf(tokens);
  }

  /** Tokens of the expert that has seen the fewest. */
  public long fewest() {
    return tokens.values().stream().mapToLong(seen -> seen).min().orElse(Long.MAX_VALUE);
  }
}
