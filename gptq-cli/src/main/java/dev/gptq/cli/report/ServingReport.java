package dev.gptq.cli.report;

import dev.gptq.cli.console.Table;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.Machine;
import dev.gptq.quantizer.export.Server;
import dev.gptq.quantizer.export.ServingEstimate;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;

/** What programs that serve a model will take and give, by arithmetic: a part of pages. */
final class ServingReport {
  private static final int TEXT = 4096;

  private final Model model;
  private final ServingEstimate made;
  private final Optional<ServingEstimate> original;
  private final int tokens;

  private ServingReport(Model model, Optional<Model> original) throws IOException {
    this.model = model;
    this.made = ServingEstimate.of(model);
    this.original =
        original.isPresent() ? Optional.of(ServingEstimate.of(original.get())) : Optional.empty();
    this.tokens = Math.min(TEXT, model.spec().context());
  }

  /** Adds it to a page; of a model beside its original if that is given. */
  static void addTo(HtmlPage page, Model model, Optional<Model> original) throws IOException {
    ServingReport report = new ServingReport(model, original);
    page.heading("Memory and speed in engines: an estimate")
        .paragraph(
            "Arithmetic over the tensors, nothing of it measured. A token that is written reads the"
                + " weights that take part in it and the cache of its text once, so that one text is"
                + " written no faster than the bandwidth of the memory divided by these bytes."
                + " Engines stay below that, further with small models; texts that are written"
                + " together share the reading of the weights. Speeds are those behind %d tokens,"
                    .formatted(report.tokens)
                + " memory and bandwidth those of the makers' data sheets, for one processor or GPU;"
                + " a tenth of the memory is left to the engine.")
        .table(report.sizes())
        .table(report.machines());
  }

  private Table sizes() {
    Table table = new Table("", "this model", "the original");
    size(table, "weights", ServingEstimate::weights);
    size(table, "weights that a token reads", ServingEstimate::read);
    size(
        table,
        "keys and values of %d tokens, in 16 bits".formatted(tokens),
        estimate -> estimate.cache(tokens));
    return table.withoutEmptyColumns();
  }

  private void size(Table table, String name, ToLongFunction<ServingEstimate> of) {
    table.row(
        name,
        megabytes(of.applyAsLong(made)),
        original.map(estimate -> megabytes(of.applyAsLong(estimate))).orElse(""));
  }

  private static String megabytes(long bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  private Table machines() {
    Table table =
        new Table("machine", "bandwidth", "engines", "tokens/s at most", "of the original");
    List<Server> servers = Server.running(model);
    for (Machine machine : Machine.values()) {
      List<Server> here = servers.stream().filter(server -> server.runsOn(machine)).toList();
      if (here.isEmpty() && !servers.isEmpty()) {
        continue;
      }
      table.row(
          machine.title(),
          String.format(Locale.ROOT, "%.0f GB/s", machine.bandwidth() / 1e9),
          here.stream().map(Server::title).collect(Collectors.joining(", ")),
          speed(made, machine),
          original.map(estimate -> speed(estimate, machine)).orElse(""));
    }
    return table.withoutEmptyColumns();
  }

  private String speed(ServingEstimate estimate, Machine machine) {
    return estimate.fits(machine, tokens)
        ? String.format(Locale.ROOT, "%.0f", estimate.tokensPerSecond(machine, tokens))
        : "does not fit";
  }
}
