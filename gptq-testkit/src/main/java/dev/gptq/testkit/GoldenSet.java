package dev.gptq.testkit;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.GroupStatistics;
import dev.gptq.quantize.Refinement;
import dev.gptq.tensor.DType;
import java.util.Arrays;
import java.util.List;

/**
 * The options of one recorded run, by its name {@code
 * b<bits>_g<group>_<sym|asym>[_act<0|1>_static<0|1>][_mse][_damp<share>][_block<columns>]}.
 */
record GoldenSet(String name, GridSpec spec, GptqOptions options) {

  static GoldenSet of(String name) {
    List<String> parts = Arrays.asList(name.split("_"));
    GridSpec spec =
        new GridSpec(
            parts.contains("sym") ? Scheme.SYMMETRIC : Scheme.ASYMMETRIC,
            Integer.parseInt(value(parts, "b", "")),
            parts.contains("mse") ? GridSearch.MSE : GridSearch.MIN_MAX,
            DType.F32);
    GptqOptions options =
        new GptqOptions(
            spec,
            Integer.parseInt(value(parts, "g", "")),
            parts.contains("act1") ? ColumnOrder.ACTIVATION : ColumnOrder.NATURAL,
            parts.contains("static1"),
            Double.parseDouble(value(parts, "damp", "0.01")),
            Integer.parseInt(value(parts, "block", "128")),
            GroupStatistics.REFERENCE,
            Refinement.NONE);
    return new GoldenSet(name, spec, options);
  }

  /** What follows the key in the part that is the key and a number. */
  private static String value(List<String> parts, String key, String missing) {
    return parts.stream()
        .filter(p -> p.matches(key + "-?[0-9.]+"))
        .map(p -> p.substring(key.length()))
        .findFirst()
        .orElse(missing);
  }
}
