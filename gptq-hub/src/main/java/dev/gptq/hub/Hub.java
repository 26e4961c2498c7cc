package dev.gptq.hub;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;

/**
 * The hub, and the cache that all of its programs share. Downloads are checked against the digests
 * that the hub gives, and go on where they stopped; whatever a server says, nothing is written
 * outside of the cache, and the token goes to the hub alone.
 */
public final class Hub implements AutoCloseable {
  private final HubSettings settings;
  private final Tuning tuning;
  private final Transport transport;

  /** The hub of these settings; nothing is asked of it yet. */
  public Hub(HubSettings settings) {
    this(settings, Tuning.DEFAULT);
  }

  Hub(HubSettings settings, Tuning tuning) {
    this.settings = settings;
    this.tuning = tuning;
    this.transport = new Transport(settings);
  }

  /**
   * What a download would bring. The index of a model is loaded for it, other files are not. Where
   * {@code HF_HUB_OFFLINE} is set, or the hub cannot be reached and the cache holds all that is
   * needed, this is what the cache has, and {@code listener} is told.
   */
  public DownloadPlan plan(
      HubReference reference, FileSelection selection, TransferListener listener)
      throws IOException {
    return new Download(settings, transport, tuning, listener).plan(reference, selection);
  }

  /** Brings what a plan lacks, and returns the folder that holds its files. */
  public Path download(DownloadPlan plan, TransferListener listener) throws IOException {
    new Download(settings, transport, tuning, listener).run(plan);
    return plan.snapshot();
  }

  /**
   * What an upload of a folder would do: {@code name} is that of a model, with or without its
   * owner. Nothing is changed.
   *
   * @param isPrivate whether only the owner may see the repository; refused if it is public already
   */
  public UploadPlan planUpload(
      Path folder, String name, boolean isPrivate, TransferListener listener) throws IOException {
    return new Upload(settings, transport, tuning, listener).plan(folder, name, isPrivate);
  }

  /**
   * Creates the repository if there is none, sends what it lacks and makes one commit, whose
   * address is returned. An upload that was interrupted does not send again what had arrived. Fails
   * if the repository has changed since it was planned.
   */
  public URI upload(UploadPlan plan, String message, TransferListener listener) throws IOException {
    return new Upload(settings, transport, tuning, listener).run(plan, message);
  }

  /** Closes the connections. */
  @Override
  public void close() {
    transport.close();
  }
}
