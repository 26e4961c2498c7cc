package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The bytes of one file on the hub. The first request asks the hub, which sends on to where large
 * files lie, with a signature in the address that holds for a while; the others go there directly.
 * Each answer must be of the same file.
 */
final class RangeSource {
  private static final int MOST_REDIRECTS = 5;
  private static final Set<Integer> EXPIRED = Set.of(401, 403, 404, 410);
  private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d+)-(\\d+)/(\\d+|\\*)");

  private final Transport transport;
  private final Refusals refusals;
  private final Repo repo;
  private final String commit;
  private final RemoteFile file;
  private final URI address;
  private volatile URI storage;
  private volatile String storageTag;

  RangeSource(
      HubSettings settings, Transport transport, Repo repo, String commit, RemoteFile file) {
    this.transport = transport;
    this.refusals = new Refusals(settings);
    this.repo = repo;
    this.commit = commit;
    this.file = file;
    this.address =
        settings.address(repo.page() + "/resolve/" + commit + "/" + Text.encodedPath(file.path()));
  }

  /**
   * An answer to a request for bytes.
   *
   * @param response its body begins where asked, or at the beginning if {@code whole}
   * @param whole whether the server sends the whole file whatever was asked for
   */
  record Answer(HttpResponse<InputStream> response, boolean whole) {}

  /** The host that is asked, for messages. */
  String host() {
    URI at = storage;
    return at == null ? address.getHost() : at.getHost();
  }

  /**
   * Asks for bytes from {@code start} to before {@code end}. Empty if the answer has a status that
   * may pass, which {@code attempts} has then waited for.
   */
  Optional<Answer> open(long start, long end, Attempts attempts) throws IOException {
    HttpResponse<InputStream> response = fetch(start, end);
    int status = response.statusCode();
    if (status == 200 || status == 206) {
      try {
        return Optional.of(checked(response, start, end));
      } catch (IOException e) {
        response.body().close();
        throw e;
      }
    }
    response.body().close();
    if (Attempts.mayPass(status) && attempts.failed(status, response.headers())) {
      return Optional.empty();
    }
    throw refusals.of(response, repo, file.path() + " of " + repo);
  }

  private HttpResponse<InputStream> fetch(long start, long end) throws IOException {
    URI known = storage;
    if (known != null) {
      HttpResponse<InputStream> response = transport.open(request(known, start, end));
      if (!EXPIRED.contains(response.statusCode())) {
        return response;
      }
      response.body().close();
    }
    URI next = address;
    for (int i = 0; i <= MOST_REDIRECTS; i++) {
      HttpResponse<InputStream> response = transport.open(request(next, start, end));
      if (transport.isHub(next)) {
        requireSameFile(response.headers());
      }
      Optional<URI> target = Transport.redirection(response);
      if (target.isEmpty()) {
        storage = next.equals(address) ? null : next;
        return response;
      }
      response.body().close();
      next = target.get();
    }
    throw new HubException(Reason.DAMAGED, file.path() + " is redirected in a circle");
  }

  private HttpRequest request(URI at, long start, long end) {
    HttpRequest.Builder request = transport.request(at).GET();
    if (start > 0 || end < file.size()) {
      request.header("Range", "bytes=" + start + "-" + (end - 1));
    }
    return request.build();
  }

  /** What the hub itself says of the file must be what its list said. */
  private void requireSameFile(HttpHeaders headers) throws HubException {
    Optional<String> answered = headers.firstValue("X-Repo-Commit");
    if (answered.isPresent() && !answered.get().equals(commit)) {
      throw changed("is of commit " + answered.get());
    }
    Optional<String> tag = Transport.tag(headers, "X-Linked-Etag");
    if (tag.isPresent() && !tag.get().equals(file.digest())) {
      throw changed("has the tag " + tag.get());
    }
    Optional<String> size = headers.firstValue("X-Linked-Size");
    if (size.isPresent() && !size.get().equals(Long.toString(file.size()))) {
      throw changed("has " + size.get() + " bytes");
    }
  }

  private Answer checked(HttpResponse<InputStream> response, long start, long end)
      throws IOException {
    HttpHeaders headers = response.headers();
    if (headers.firstValue("Content-Encoding").filter(e -> !e.equals("identity")).isPresent()) {
      throw changed("comes compressed, which was not asked for");
    }
    requireSameTag(headers);
    if (response.statusCode() == 200) {
      long length = headers.firstValueAsLong("Content-Length").orElse(file.size());
      if (length != file.size()) {
        throw changed("has " + length + " bytes");
      }
      return new Answer(response, true);
    }
    String range = headers.firstValue("Content-Range").orElse("");
    Matcher parts = CONTENT_RANGE.matcher(range);
    String expected = "bytes %d-%d/".formatted(start, end - 1);
    if (!parts.matches()
        || !range.startsWith(expected)
        || !(parts.group(3).equals("*") || parts.group(3).equals(Long.toString(file.size())))) {
      throw changed(
          "comes as '" + Text.printable(range) + "' where " + expected + " was asked for");
    }
    return new Answer(response, false);
  }

  /** All ranges must be of one version of what lies in the storage. */
  private synchronized void requireSameTag(HttpHeaders headers) throws IOException {
    Optional<String> tag = Transport.tag(headers, "ETag");
    if (tag.isEmpty()) {
      return;
    }
    if (storageTag == null) {
      storageTag = tag.get();
    } else if (!storageTag.equals(tag.get())) {
      // Another server of the storage may answer next, so this is worth another attempt.
      throw new IOException(
          "%s changed while it was loaded (tag %s, then %s)"
              .formatted(file.path(), storageTag, Text.printable(tag.get())));
    }
  }

  private HubException changed(String how) {
    return new HubException(
        Reason.DAMAGED,
        "%s of %s was to have %d bytes with the digest %s, but %s; try again, and if it stays so, do"
                .formatted(file.path(), repo, file.size(), file.digest(), Text.printable(how))
            + " not trust "
            + host());
  }
}
