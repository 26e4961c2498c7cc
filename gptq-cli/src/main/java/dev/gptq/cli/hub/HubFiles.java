package dev.gptq.cli.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.UsageException;
import dev.gptq.formats.BadInputException;
import dev.gptq.hub.DownloadPlan;
import dev.gptq.hub.FileSelection;
import dev.gptq.hub.Hub;
import dev.gptq.hub.HubException;
import dev.gptq.hub.HubReference;
import dev.gptq.hub.HubSettings;
import dev.gptq.hub.RepoKind;
import dev.gptq.hub.TransferListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The files that an option names: by a path, or on the hub. What begins with {@code hf:} is on the
 * hub; a model {@code owner/name} is there too if there is no folder of that name.
 */
public final class HubFiles {
  private static final int SHOWN = 20;

  private HubFiles() {}

  /** The folder of a model, loaded if it has to be. */
  public static Path model(String text, Console console) throws IOException {
    if (HubReference.isMarked(text)) {
      return load(text, console);
    }
    Path folder = path(text);
    boolean bare = HubReference.isBareName(text);
    if (!bare || Files.exists(folder)) {
      if (bare && Files.isDirectory(folder)) {
        console.note("taking the folder %s; hf:%s is the model on the hub".formatted(text, text));
      }
      return folder;
    }
    console.note("there is no folder %s; looking for it on the hub".formatted(text));
    try {
      return load(text, console);
    } catch (HubException e) {
      throw new BadInputException(
          "there is no folder %s, and %s".formatted(text, e.getMessage()), e);
    }
  }

  private static Path load(String text, Console console) throws IOException {
    HubReference reference = HubReference.parse(text, RepoKind.MODEL);
    if (reference.repo().kind() != RepoKind.MODEL || !reference.path().isEmpty()) {
      throw new UsageException(text + " is no model; give hf:owner/name or hf:owner/name@revision");
    }
    try (Hub hub = new Hub(HubSettings.fromEnvironment())) {
      return load(hub, reference, FileSelection.model(), console).snapshot();
    }
  }

  private static DownloadPlan load(
      Hub hub, HubReference reference, FileSelection selection, Console console)
      throws IOException {
    TransferListener progress = new HubProgress(console, "loading " + reference);
    DownloadPlan plan = hub.plan(reference, selection, progress);
    load(hub, plan, progress, console);
    console.endProgress();
    return plan;
  }

  /** Loads what a plan says and the cache has not. */
  public static void load(Hub hub, DownloadPlan plan, TransferListener progress, Console console)
      throws IOException {
    try (Interruption _ =
        Interruption.keeping(
            console,
            "; what has come is kept in the cache, and the same command goes on from there")) {
      hub.download(plan, progress);
    }
  }

  /** The one file of a text. */
  public static Path text(String text, Console console) throws IOException {
    ImmutableList<Path> files = texts(text, console);
    if (files.size() != 1) {
      throw new UsageException("%s is %d files; name one".formatted(text, files.size()));
    }
    return files.getFirst();
  }

  /** The files of a text: one, or several where it names files of a data set by a pattern. */
  public static ImmutableList<Path> texts(String text, Console console) throws IOException {
    return HubReference.isMarked(text)
        ? texts(text, console, HubSettings.fromEnvironment())
        : ImmutableList.of(path(text));
  }

  /** The same of what is on the hub. */
  static ImmutableList<Path> texts(String text, Console console, HubSettings settings)
      throws IOException {
    HubReference reference = HubReference.parse(text, RepoKind.DATASET);
    try (Hub hub = new Hub(settings)) {
      if (reference.path().isEmpty()) {
        throw unnamed(hub, text, reference, console);
      }
      DownloadPlan plan =
          load(hub, reference, FileSelection.matching(List.of(reference.path())), console);
      return plan.paths().stream()
          .map(plan.snapshot()::resolve)
          .collect(ImmutableList.toImmutableList());
    }
  }

  private static UsageException unnamed(
      Hub hub, String text, HubReference reference, Console console) throws IOException {
    DownloadPlan all =
        hub.plan(
            reference,
            FileSelection.matching(List.of("**")),
            new HubProgress(console, "asking for " + reference));
    return new UsageException(
        "say which file of %s is meant, as in %s/FILE; it holds %s"
            .formatted(
                text,
                text,
                all.paths().stream().limit(SHOWN).collect(Collectors.joining(", "))
                    + (all.paths().size() > SHOWN ? ", …" : "")));
  }

  private static Path path(String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      throw new UsageException("'%s' is no path (%s)".formatted(text, e.getReason()));
    }
  }
}
