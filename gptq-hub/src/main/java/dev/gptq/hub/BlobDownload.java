package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Semaphore;

/** Loads one file: its parts side by side, each from where it stopped, then checks the whole. */
final class BlobDownload {
  private static final int BUFFER = 1 << 18;

  private final RangeSource source;
  private final RemoteFile file;
  private final Tuning tuning;
  private final Semaphore connections;
  private final StallGuard guard;
  private final Meter meter;

  BlobDownload(
      RangeSource source,
      RemoteFile file,
      Tuning tuning,
      Semaphore connections,
      StallGuard guard,
      Meter meter) {
    this.source = source;
    this.file = file;
    this.tuning = tuning;
    this.connections = connections;
    this.guard = guard;
    this.meter = meter;
  }

  /** The server sent all where a range was asked for. */
  private static final class RangesIgnoredException extends IOException {
    private static final long serialVersionUID = 1L;
  }

  /** Loads into {@code partial} and renames that to {@code blob} when it is whole and right. */
  void run(Path partial, Path blob) throws IOException {
    Files.createDirectories(blob.getParent());
    try (PartialBlob bytes = PartialBlob.open(partial, file.size(), tuning.partSize())) {
      meter.skip(bytes.total());
      load(bytes);
      bytes.finish();
    }
    String digest = Digests.like(file.digest(), partial);
    if (!digest.equals(file.digest())) {
      Files.delete(partial);
      throw new HubException(
          Reason.DAMAGED,
          "%s came from %s with the digest %s but should have %s; it is deleted, try again"
              .formatted(file.path(), source.host(), digest, file.digest()));
    }
    Files.move(partial, blob, StandardCopyOption.REPLACE_EXISTING);
  }

  private void load(PartialBlob bytes) throws IOException {
    List<Parallel.Task> parts = new ArrayList<>();
    for (int i = 0; i < bytes.parts(); i++) {
      int part = i;
      if (bytes.received(part) < bytes.length(part)) {
        parts.add(() -> loadPart(bytes, part));
      }
    }
    try {
      Parallel.run(parts);
    } catch (RangesIgnoredException e) {
      meter.note(source.host() + " heeds no ranges; " + file.path() + " comes in one piece");
      loadWhole(bytes);
    }
  }

  private void loadPart(PartialBlob bytes, int part) throws IOException {
    Attempts attempts = new Attempts(tuning, meter, source.host());
    while (bytes.received(part) < bytes.length(part)) {
      try {
        tryPart(bytes, part, attempts);
      } catch (RangesIgnoredException e) {
        throw e;
      } catch (IOException e) {
        attempts.failed(e);
      }
    }
  }

  private void tryPart(PartialBlob bytes, int part, Attempts attempts) throws IOException {
    long start = bytes.start(part) + bytes.received(part);
    long end = bytes.start(part) + bytes.length(part);
    acquire();
    try {
      Optional<RangeSource.Answer> answer = source.open(start, end, attempts);
      if (answer.isPresent()) {
        if (answer.get().whole() && (start > 0 || end < file.size())) {
          answer.get().response().body().close();
          throw new RangesIgnoredException();
        }
        copy(answer.get().response(), bytes, part, part, attempts);
      }
    } finally {
      connections.release();
    }
  }

  /** Without ranges there is no going on: each attempt begins anew. */
  private void loadWhole(PartialBlob bytes) throws IOException {
    Attempts attempts = new Attempts(tuning, meter, source.host());
    while (bytes.total() < file.size()) {
      meter.skip(-bytes.total());
      bytes.clear();
      acquire();
      try {
        Optional<RangeSource.Answer> answer = source.open(0, file.size(), attempts);
        if (answer.isPresent()) {
          Attempts asOne = new Attempts(tuning, meter, source.host());
          copy(answer.get().response(), bytes, 0, bytes.parts() - 1, asOne);
        }
      } catch (IOException e) {
        attempts.failed(e);
      } finally {
        connections.release();
      }
    }
  }

  private void acquire() throws IOException {
    try {
      connections.acquire();
    } catch (InterruptedException e) {
      throw Attempts.interrupted(e);
    }
  }

  /** Appends a body to the parts from {@code first} to {@code last}, which it must fill. */
  private void copy(
      HttpResponse<InputStream> response, PartialBlob bytes, int first, int last, Attempts attempts)
      throws IOException {
    byte[] buffer = new byte[BUFFER];
    int part = first;
    try (StallGuard.Watched body = guard.watch(response.body())) {
      for (int n = body.read(buffer); n >= 0; n = body.read(buffer)) {
        int taken = 0;
        while (taken < n) {
          if (bytes.received(part) == bytes.length(part)) {
            if (part == last) {
              throw tooLong();
            }
            part++;
          }
          int count = (int) Math.min(n - taken, bytes.length(part) - bytes.received(part));
          bytes.append(part, buffer, taken, count);
          taken += count;
          meter.add(count);
        }
        attempts.succeeded();
      }
    } finally {
      bytes.record(part);
    }
    if (bytes.received(last) < bytes.length(last)) {
      throw new IOException("the connection ended early");
    }
  }

  private HubException tooLong() {
    return new HubException(
        Reason.DAMAGED,
        "%s sends more of %s than was asked for; do not trust it"
            .formatted(source.host(), file.path()));
  }
}
