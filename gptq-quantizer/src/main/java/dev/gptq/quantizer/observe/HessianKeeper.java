package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.pipeline.FinishedBlocks;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * Keeps the Hessians that an {@link Observer} will need while a model is quantized. Where only the
 * worst modules will be observed, a Hessian is deleted as soon as enough other modules are worse
 * than its own, so that there are never more than those of the worst modules and of two blocks.
 */
public final class HessianKeeper implements JobListener {
  private final DecoderSpec spec;
  private final ImmutableSet<Unit> units;
  private final HessianFolder hessians;
  private final OptionalInt worst;
  private final FinishedBlocks store;
  private final JobListener next;

  /**
   * A listener of one quantization.
   *
   * @param hessians where they are kept
   * @param worst how many modules will be observed, if those with the largest relative errors are;
   *     empty if all modules are tried
   * @param store has the finished blocks
   * @param next hears everything too
   */
  public HessianKeeper(
      DecoderSpec spec,
      HessianFolder hessians,
      OptionalInt worst,
      FinishedBlocks store,
      JobListener next) {
    this.spec = spec;
    this.units = ImmutableSet.copyOf(Unit.of(spec, name -> true));
    this.hessians = hessians;
    this.worst = worst;
    this.store = store;
    this.next = next;
  }

  /**
   * The bytes on disk at most: of the largest Hessians of as many units as there are worst modules
   * and of two blocks, or of all.
   */
  public static long mostBytes(DecoderSpec spec, OptionalInt worst) {
    List<Long> units =
        Unit.of(spec, name -> true).stream()
            .map(HessianKeeper::bytes)
            .sorted(Comparator.reverseOrder())
            .toList();
    long perBlock =
        Unit.of(spec, name -> true).stream()
            .collect(
                Collectors.groupingBy(Unit::block, Collectors.summingLong(HessianKeeper::bytes)))
            .values()
            .stream()
            .mapToLong(Long::longValue)
            .max()
            .orElse(0);
    long all = units.stream().mapToLong(Long::longValue).sum();
    return worst.isEmpty()
        ? all
        : Math.min(
            all,
            2 * perBlock + units.stream().limit(worst.getAsInt()).mapToLong(Long::longValue).sum());
  }

  private static long bytes(Unit unit) {
    return unit.inputs().stream()
        .mapToLong(input -> input.modules().getFirst().inputs())
        .map(columns -> Float.BYTES * columns * columns)
        .sum();
  }

  @Override
  public void block(int index, int count) {
    if (worst.isPresent()) {
      // The block before this one may still be on its way to the store.
      deleteUnneeded(index - 1, worst.getAsInt());
    }
    next.block(index, count);
  }

  @Override
  public void calibrated(int block, Step.Linears group, Hessian hessian) {
    int index = spec.blocks().get(block).groups().toList().indexOf(group);
    hessians.put(block, index, hessian);
    next.calibrated(block, group, hessian);
  }

  @Override
  public void module(ModuleReport report) {
    next.module(report);
  }

  /** Deletes the Hessians of units none of whose modules is among the worst so far. */
  private void deleteUnneeded(int finished, int count) {
    List<ModuleReport> reports = new ArrayList<>();
    for (int block = 0; block < finished; block++) {
      reports.addAll(store.reports(block));
    }
    ImmutableSet<String> needed = Observer.worst(reports, count);
    for (Unit unit : units) {
      if (unit.block() < finished && unit.names().noneMatch(needed::contains)) {
        unit.inputs().forEach(input -> hessians.delete(unit.block(), input.index()));
      }
    }
  }
}
