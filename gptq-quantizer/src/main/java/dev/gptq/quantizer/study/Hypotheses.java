package dev.gptq.quantizer.study;

import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.regex.Pattern;

/**
 * What the study read from its plots, as numbers: that feed-forward modules are sensitive in the
 * second half of the layers, that later layers are harder, and that the output projection of the
 * attention is easy. The errors it plotted were absolute, so a module with a large output has a
 * large error; each is tested on relative errors too.
 */
public final class Hypotheses {
  private static final Pattern ATTENTION = Pattern.compile("attn|attention");
  private static final Pattern OUTPUT = Pattern.compile("(o_proj|out_proj|c_proj|dense)$");

  /** From this mean rank correlation on, errors count as growing with the layer. */
  private static final double GROWS = 0.5;

  private final List<ModuleReport> reports;
  private final ToDoubleFunction<ModuleReport> measure;

  private Hypotheses(List<ModuleReport> reports, ToDoubleFunction<ModuleReport> measure) {
    this.reports = reports;
    this.measure = measure;
  }

  /** What was found. */
  public record Finding(boolean holds, String why) {
    /** In words. */
    public String text() {
      return (holds ? "holds: " : "does not hold: ") + why;
    }
  }

  /** On absolute errors. */
  public static Hypotheses absolute(List<ModuleReport> reports) {
    return new Hypotheses(reports, ModuleReport::error);
  }

  /** On relative errors. */
  public static Hypotheses relative(List<ModuleReport> reports) {
    return new Hypotheses(reports, ModuleReport::relativeError);
  }

  /** Their mean error in the second half is above attention's, by more than in the first half. */
  public Finding feedForward() {
    int half = layers() / 2;
    double early = ratio(report -> report.layer() < half);
    double late = ratio(report -> report.layer() >= half);
    return new Finding(
        late > 1 && late > early,
        String.format(Locale.ROOT, "%.2f times attention's, %.2f in the first half", late, early));
  }

  /** The mean over kinds of modules of the rank correlation of error and layer is large. */
  public Finding later() {
    double sum = 0;
    Map<String, List<ModuleReport>> kinds = kinds();
    for (List<ModuleReport> kind : kinds.values()) {
      sum += rankCorrelation(kind);
    }
    double mean = sum / kinds.size();
    return new Finding(
        mean >= GROWS, String.format(Locale.ROOT, "mean rank correlation %.2f", mean));
  }

  /** Its mean error is the least of all kinds of modules. */
  public Finding output() {
    List<Map.Entry<String, Double>> means = new ArrayList<>();
    kinds().forEach((kind, own) -> means.add(Map.entry(kind, mean(own))));
    means.sort(Map.Entry.comparingByValue());
    for (int rank = 0; rank < means.size(); rank++) {
      if (isOutput(means.get(rank).getKey())) {
        return new Finding(
            rank == 0,
            "number "
                + (rank + 1)
                + " of "
                + means.size()
                + " from the easiest, which is "
                + means.getFirst().getKey());
      }
    }
    return new Finding(false, "the model has no such module");
  }

  private int layers() {
    return reports.stream().mapToInt(ModuleReport::layer).max().orElse(0) + 1;
  }

  private static boolean isAttention(ModuleReport report) {
    return ATTENTION.matcher(report.module()).find();
  }

  private static boolean isOutput(String module) {
    return ATTENTION.matcher(module).find() && OUTPUT.matcher(module).find();
  }

  /** The mean error of feed-forward modules over that of attention's. */
  private double ratio(Predicate<ModuleReport> where) {
    List<ModuleReport> attention = new ArrayList<>();
    List<ModuleReport> others = new ArrayList<>();
    reports.stream().filter(where).forEach(r -> (isAttention(r) ? attention : others).add(r));
    return mean(others) / mean(attention);
  }

  private double mean(List<ModuleReport> of) {
    return of.stream().mapToDouble(measure).filter(Double::isFinite).average().orElse(Double.NaN);
  }

  private Map<String, List<ModuleReport>> kinds() {
    Map<String, List<ModuleReport>> kinds = new LinkedHashMap<>();
    for (ModuleReport report : reports) {
      kinds.computeIfAbsent(report.module(), kind -> new ArrayList<>()).add(report);
    }
    return kinds;
  }

  /** Spearman's: 1 if the error grows from layer to layer, −1 if it falls. */
  private double rankCorrelation(List<ModuleReport> kind) {
    int n = kind.size();
    List<ModuleReport> byError = kind.stream().sorted(Comparator.comparingDouble(measure)).toList();
    List<ModuleReport> byLayer =
        kind.stream().sorted(Comparator.comparingInt(ModuleReport::layer)).toList();
    double squares = 0;
    for (int rank = 0; rank < n; rank++) {
      double distance = byLayer.indexOf(byError.get(rank)) - rank;
      squares += distance * distance;
    }
    return n < 2 ? 0 : 1 - 6 * squares / ((double) n * ((double) n * n - 1));
  }
}
