package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Semaphore;

/** Brings files of a repository into the cache. */
final class Download {
  private final HubSettings settings;
  private final Transport transport;
  private final Tuning tuning;
  private final TransferListener listener;

  Download(HubSettings settings, Transport transport, Tuning tuning, TransferListener listener) {
    this.settings = settings;
    this.transport = transport;
    this.tuning = tuning;
    this.listener = listener;
  }

  /** Finds out what is needed and what of it the cache lacks. */
  DownloadPlan plan(HubReference reference, FileSelection selection) throws IOException {
    CacheFolder cache = new CacheFolder(settings, reference.repo());
    if (settings.offline()) {
      return cached(reference, selection, cache, "HF_HUB_OFFLINE is set");
    }
    try {
      return asked(reference, selection, cache);
    } catch (HubException e) {
      if (e.reason() != Reason.UNREACHABLE || !isCached(reference, selection, cache)) {
        throw e;
      }
      listener.note(e.getMessage());
      DownloadPlan plan = cached(reference, selection, cache, "the hub cannot be reached");
      listener.note(
          "%s: taking commit %s of the cache".formatted(reference, plan.commit().substring(0, 12)));
      return plan;
    }
  }

  private DownloadPlan asked(HubReference reference, FileSelection selection, CacheFolder cache)
      throws IOException {
    Repo repo = reference.repo();
    Api api = new Api(settings, transport, tuning, listener);
    String commit =
        Names.isCommit(reference.revision())
            ? reference.revision()
            : api.commit(repo, reference.revision());
    ImmutableList<RemoteFile> files =
        selection.choose(
            repo,
            api.files(repo, commit),
            file -> {
              load(repo, commit, cache, ImmutableList.of(file));
              return cache.place(commit, file);
            });
    List<RemoteFile> missing = new ArrayList<>();
    for (RemoteFile file : files) {
      if (!cache.holds(commit, file)) {
        missing.add(file);
      }
    }
    return new DownloadPlan(
        reference,
        commit,
        cache.snapshot(commit),
        files.stream().map(RemoteFile::path).collect(ImmutableList.toImmutableList()),
        files,
        ImmutableList.copyOf(missing));
  }

  private static boolean isCached(
      HubReference reference, FileSelection selection, CacheFolder cache) throws IOException {
    Optional<String> commit = cache.remembered(reference.revision());
    return commit.isPresent() && selection.missing(cache.snapshot(commit.get())).isEmpty();
  }

  private DownloadPlan cached(
      HubReference reference, FileSelection selection, CacheFolder cache, String why)
      throws IOException {
    Optional<String> commit = cache.remembered(reference.revision());
    if (commit.isEmpty()) {
      throw new HubException(
          Reason.OFFLINE,
          "%s is not in the cache %s, and %s".formatted(reference, settings.cache(), why));
    }
    Path snapshot = cache.snapshot(commit.get());
    ImmutableList<String> missing = selection.missing(snapshot);
    if (!missing.isEmpty()) {
      throw new HubException(
          Reason.OFFLINE,
          "%s lacks %s, and %s; load it again with the hub in reach"
              .formatted(snapshot, String.join(", ", missing), why));
    }
    return new DownloadPlan(
        reference,
        commit.get(),
        snapshot,
        selection.found(snapshot),
        ImmutableList.of(),
        ImmutableList.of());
  }

  /** Brings what a plan lacks, and remembers the commit when all is there. */
  void run(DownloadPlan plan) throws IOException {
    CacheFolder cache = new CacheFolder(settings, plan.reference().repo());
    load(plan.reference().repo(), plan.commit(), cache, plan.missing());
    if (!settings.offline() && !plan.files().isEmpty()) {
      cache.remember(plan.reference().revision(), plan.commit());
    }
  }

  private void load(Repo repo, String commit, CacheFolder cache, ImmutableList<RemoteFile> files)
      throws IOException {
    requireSpace(cache, files);
    Meter meter =
        new Meter(listener, System::nanoTime, files.stream().mapToLong(RemoteFile::size).sum());
    Semaphore connections = new Semaphore(tuning.connections());
    try (StallGuard guard = new StallGuard(settings.stallTimeout())) {
      List<Parallel.Task> tasks = new ArrayList<>();
      // Largest first, so that none is left alone at the end.
      files.stream()
          .sorted(Comparator.comparingLong(RemoteFile::size).reversed())
          .forEach(file ->
              tasks.add(() ->
                  loadFile(
                      new BlobDownload(
                          new RangeSource(settings, transport, repo, commit, file),
                          file,
                          tuning,
                          connections,
                          guard,
                          meter),
                      commit,
                      cache,
                      file,
                      meter)));
      Parallel.run(tasks);
    }
  }

  private static void loadFile(
      BlobDownload download, String commit, CacheFolder cache, RemoteFile file, Meter meter)
      throws IOException {
    try (ProcessLock _ =
        ProcessLock.take(
            cache.lock(file),
            () -> meter.note("waiting for another process that loads " + file.path()))) {
      if (cache.holds(commit, file)) {
        meter.skip(file.size());
        return;
      }
      boolean isNew = !cache.hasBlob(file);
      if (isNew) {
        download.run(cache.partial(file), cache.blob(file));
      } else {
        meter.skip(file.size());
      }
      cache.show(commit, file, isNew);
    }
  }

  private void requireSpace(CacheFolder cache, ImmutableList<RemoteFile> files) throws IOException {
    long needed = 0;
    Set<String> counted = new HashSet<>();
    for (RemoteFile file : files) {
      if (counted.add(file.digest()) && !cache.hasBlob(file)) {
        Path partial = cache.partial(file);
        long there =
            Files.isRegularFile(partial)
                ? PartialBlob.left(partial, file.size(), tuning.partSize())
                : 0;
        needed = Math.addExact(needed, file.size() - there);
      }
    }
    long free = cache.free();
    if (needed > free) {
      throw new HubException(
          Reason.NO_SPACE,
          "%s has %s left but %s are needed; make room, or set HF_HOME to a folder on a larger disk"
              .formatted(settings.cache(), Text.size(free), Text.size(needed)));
    }
  }
}
