package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.quantizer.pipeline.FinishedBlocks;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Looks at a finished quantization and gives more bytes to modules that need them: smaller groups
 * first, then more bits. Modules that share their settings are tried together. A candidate is kept
 * only if none of its modules has a larger error than before and their sum is smaller, all measured
 * against the full-precision weights, so that no module's error and not the total can rise.
 *
 * <p>The Hessians are those of the first run: later modules were calibrated with what the earlier
 * ones were then, and are not calibrated again. Errors are those against the weights themselves: a
 * model that was quantized with another {@link dev.gptq.quantizer.pipeline.Target} is not for this.
 */
public final class Observer {
  /** A module is good enough when its error has fallen to this share of the first run's. */
  private static final double GOOD_ENOUGH = 0.5;

  private final ImmutableList<Unit> units;
  private final Requantizer requantizer;
  private final FinishedBlocks store;
  private final Listener listener;
  private final ImmutableMap<String, ModuleReport> first;
  private final List<Attempt> attempts = new ArrayList<>();
  private ImmutableList<Integer> widths = Ladder.WIDTHS;

  /** Hears how an observation goes on. */
  public interface Listener {
    /** A unit is about to be tried; units count from 0. */
    void unit(int index, int count, String firstModule);

    /** Hears nothing. */
    Listener SILENT = (index, count, firstModule) -> {};
  }

  /**
   * Of a model whose blocks are all finished.
   *
   * @param spec the model
   * @param selection the modules that were quantized, by full name
   * @param store has the finished blocks and gets what replaces them
   */
  public Observer(
      DecoderSpec spec,
      Predicate<String> selection,
      Requantizer requantizer,
      FinishedBlocks store,
      Listener listener) {
    this.units = Unit.of(spec, selection);
    this.requantizer = requantizer;
    this.store = store;
    this.listener = listener;
    ImmutableMap.Builder<String, ModuleReport> reports = ImmutableMap.builder();
    for (int block = 0; block < spec.blocks().size(); block++) {
      store.reports(block).forEach(report -> reports.put(report.name(), report));
    }
    this.first = reports.buildOrThrow();
  }

  /** Bits that a module may get; none for those that servers have kernels for. */
  public void widths(ImmutableList<Integer> chosen) {
    widths = chosen.isEmpty() ? Ladder.WIDTHS : chosen;
  }

  /**
   * What a unit was tried with.
   *
   * @param tried the first run and all candidates
   * @param best the best of them
   * @param modules the modules of the best, unless it is the first run
   */
  private record Climb(
      ImmutableList<Candidate> tried,
      Candidate best,
      ImmutableMap<String, QuantizedModule> modules) {
    Candidate first() {
      return tried.getFirst();
    }

    /** The same without the modules, which take much room. */
    Climb measured() {
      return new Climb(tried, best, ImmutableMap.of());
    }

    boolean improved() {
      return !best.precision().equals(first().precision());
    }
  }

  /**
   * Improves the modules with the largest relative errors. Each goes up the ladder until its error
   * is half of what it was, or the ladder ends.
   *
   * @param count how many modules; those that share settings with one of them come along
   * @return everything that was tried
   */
  public ImmutableList<Attempt> improveWorst(int count) {
    Set<String> worst = worst(first.values(), count);
    List<Unit> chosen =
        units.stream().filter(unit -> unit.names().anyMatch(worst::contains)).toList();
    for (int i = 0; i < chosen.size(); i++) {
      Climb climb = climb(chosen.get(i), i, chosen.size());
      if (climb.improved()) {
        store.replace(chosen.get(i).block(), climb.modules());
      }
      note(climb.tried(), climb.best());
    }
    return ImmutableList.copyOf(attempts);
  }

  /** Names of the modules with the largest relative errors. */
  static ImmutableSet<String> worst(Iterable<ModuleReport> reports, int count) {
    List<ModuleReport> sorted = new ArrayList<>();
    reports.forEach(sorted::add);
    return sorted.stream()
        .filter(report -> Double.isFinite(report.relativeError()))
        .sorted(Comparator.comparingDouble(ModuleReport::relativeError).reversed())
        .limit(count)
        .map(ModuleReport::name)
        .collect(ImmutableSet.toImmutableSet());
  }

  /**
   * Tries all modules, and improves those in which a byte takes most off the relative error.
   *
   * @param count how many modules; those that share settings with the last of them come along
   * @return everything that was tried
   */
  public ImmutableList<Attempt> improveCheapest(int count) {
    List<Climb> climbs = new ArrayList<>();
    for (int i = 0; i < units.size(); i++) {
      climbs.add(climb(units.get(i), i, units.size()).measured());
    }
    List<Climb> useful =
        climbs.stream()
            .filter(Climb::improved)
            .sorted(
                Comparator.comparingDouble((Climb c) -> c.best().benefitPerByte(c.first()))
                    .reversed())
            .toList();
    Set<Climb> kept = new LinkedHashSet<>();
    int modules = 0;
    for (Climb climb : useful) {
      if (modules < count) {
        kept.add(climb);
        modules += climb.best().reports().size();
        keep(climb.best());
      }
    }
    climbs.forEach(
        climb -> note(climb.tried(), kept.contains(climb) ? climb.best() : climb.first()));
    return ImmutableList.copyOf(attempts);
  }

  /**
   * Tries all modules with all settings, and chooses settings so that the whole fits a budget and
   * each byte does as much good as can be. A unit's relative error counts as much as it made the
   * predictions of the model diverge when it was the unit's alone.
   *
   * @param bitsPerWeight bits of the quantized modules' tensors over their weights
   * @return everything that was tried
   */
  public ImmutableList<Attempt> fill(double bitsPerWeight, Sensitivity sensitivity) {
    List<ImmutableList<Candidate>> tried = new ArrayList<>();
    List<ImmutableList<Candidate>> useful = new ArrayList<>();
    List<List<BitBudget.Rung>> rungs = new ArrayList<>();
    for (int i = 0; i < units.size(); i++) {
      Unit unit = units.get(i);
      listener.unit(i, units.size(), unit.names().findFirst().orElseThrow());
      ImmutableList.Builder<Candidate> candidates = ImmutableList.builder();
      Candidate start = first(unit);
      candidates.add(start);
      OptionalDouble weight = OptionalDouble.empty();
      for (Precision precision : Ladder.above(start.precision(), unit, widths)) {
        ImmutableMap<String, QuantizedModule> modules =
            requantizer.quantize(unit, precision, first);
        Candidate candidate = candidate(unit, precision, modules);
        if (weight.isEmpty()) {
          // Modules that no token reached have no error to take off.
          double error = candidate.relativeError();
          weight = OptionalDouble.of(error > 0 ? sensitivity.divergence(unit, modules) / error : 0);
        }
        candidates.add(candidate);
      }
      tried.add(candidates.build());
      useful.add(
          Stream.concat(
                  Stream.of(start),
                  tried.getLast().stream().skip(1).filter(c -> c.isBetterThan(start)))
              .collect(ImmutableList.toImmutableList()));
      double counts = weight.orElse(0);
      rungs.add(
          useful.getLast().stream()
              .map(c -> new BitBudget.Rung(c.bytes(), counts * c.relativeError()))
              .toList());
    }
    long bytes = (long) (bitsPerWeight / 8 * weights());
    List<Integer> chosen = BitBudget.choose(rungs, bytes);
    for (int i = 0; i < tried.size(); i++) {
      Candidate best = useful.get(i).get(chosen.get(i));
      if (!best.precision().equals(tried.get(i).getFirst().precision())) {
        keep(best);
      }
      note(tried.get(i), best);
    }
    return ImmutableList.copyOf(attempts);
  }

  private long weights() {
    return first.values().stream().mapToLong(r -> (long) r.rows() * r.columns()).sum();
  }

  /** Goes up the ladder until the error is small enough. */
  private Climb climb(Unit unit, int index, int count) {
    listener.unit(index, count, unit.names().findFirst().orElseThrow());
    Candidate start = first(unit);
    Candidate best = start;
    ImmutableMap<String, QuantizedModule> kept = ImmutableMap.of();
    ImmutableList.Builder<Candidate> tried = ImmutableList.builder();
    tried.add(start);
    for (Precision precision : Ladder.above(start.precision(), unit, widths)) {
      if (best.error() <= GOOD_ENOUGH * start.error()) {
        break;
      }
      ImmutableMap<String, QuantizedModule> modules = requantizer.quantize(unit, precision, first);
      Candidate candidate = candidate(unit, precision, modules);
      tried.add(candidate);
      if (candidate.isBetterThan(best)) {
        best = candidate;
        kept = modules;
      }
    }
    return new Climb(tried.build(), best, kept);
  }

  private Candidate first(Unit unit) {
    ImmutableList<ModuleReport> reports =
        unit.names().map(first::get).collect(ImmutableList.toImmutableList());
    return new Candidate(unit, reports.getFirst().precision(), reports);
  }

  private static Candidate candidate(
      Unit unit, Precision precision, ImmutableMap<String, QuantizedModule> modules) {
    return new Candidate(
        unit,
        precision,
        unit.names()
            .map(name -> modules.get(name).report())
            .collect(ImmutableList.toImmutableList()));
  }

  /** Quantizes once more with a setting that was only measured before, and stores the result. */
  private void keep(Candidate candidate) {
    ImmutableMap<String, QuantizedModule> again =
        requantizer.quantize(candidate.unit(), candidate.precision(), first);
    ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();
    for (ModuleReport report : candidate.reports()) {
      modules.put(report.name(), new QuantizedModule(again.get(report.name()).packed(), report));
    }
    store.replace(candidate.unit().block(), modules.buildOrThrow());
  }

  private void note(List<Candidate> tried, Candidate kept) {
    for (Candidate candidate : tried) {
      boolean isKept = candidate.precision().equals(kept.precision());
      candidate.reports().forEach(report -> attempts.add(new Attempt(report, isKept)));
    }
  }
}
