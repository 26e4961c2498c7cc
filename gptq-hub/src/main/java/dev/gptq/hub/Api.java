package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the hub says about repositories, asked again where that may help. */
final class Api {
  /** Of answers, which come from elsewhere and so are bounded. */
  static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(64)
                          .maxStringLength(20_000_000)
                          .build())
                  .build())
          .build();

  private static final int MOST_FILES = 1_000_000;
  private static final Pattern NEXT = Pattern.compile("<([^>]*)>\\s*;\\s*rel=\"?next\"?");

  private final HubSettings settings;
  private final Transport transport;
  private final Tuning tuning;
  private final TransferListener listener;

  Api(HubSettings settings, Transport transport, Tuning tuning, TransferListener listener) {
    this.settings = settings;
    this.transport = transport;
    this.tuning = tuning;
    this.listener = listener;
  }

  /** The commit that a revision is now. */
  String commit(Repo repo, String revision) throws IOException {
    JsonNode info =
        info(
            repo,
            "/revision/" + Text.encoded(revision),
            new HubReference(repo, revision, "").toString());
    return Names.requireCommit(info.path("sha").asString(""), repo);
  }

  /** What the hub knows of a repository: {@code suffix} is a part of the address after its name. */
  JsonNode info(Repo repo, String suffix, String what) throws IOException {
    URI address = settings.address(repo.api() + suffix);
    return json(call(transport.request(address).GET().build(), repo, what), what);
  }

  /** All files of a commit. */
  ImmutableList<RemoteFile> files(Repo repo, String commit) throws IOException {
    ImmutableList.Builder<RemoteFile> files = ImmutableList.builder();
    Set<String> paths = new HashSet<>();
    Set<URI> pages = new HashSet<>();
    URI page = settings.address(repo.api() + "/tree/" + commit + "?recursive=true");
    String what = "the list of files of " + repo;
    while (page != null) {
      if (!pages.add(page) || paths.size() > MOST_FILES) {
        throw new HubException(Reason.DAMAGED, what + " does not end");
      }
      HttpResponse<byte[]> response = call(transport.request(page).GET().build(), repo, what);
      Optional<URI> next = next(response, what);
      for (JsonNode entry : json(response, what)) {
        if (entry.path("type").asString("").equals("file")) {
          RemoteFile file = file(entry);
          if (!paths.add(file.path())) {
            throw new HubException(Reason.DAMAGED, what + " holds " + file.path() + " twice");
          }
          files.add(file);
        }
      }
      page = next.orElse(null);
    }
    return files.build();
  }

  private static RemoteFile file(JsonNode entry) throws HubException {
    JsonNode large = entry.path("lfs");
    String path = entry.path("path").asString("");
    return large.isObject()
        ? RemoteFile.of(path, large.path("size").asLong(-1), large.path("oid").asString(""))
        : RemoteFile.of(path, entry.path("size").asLong(-1), entry.path("oid").asString(""));
  }

  private Optional<URI> next(HttpResponse<?> response, String what) throws HubException {
    for (String link : response.headers().allValues("Link")) {
      Matcher next = NEXT.matcher(link);
      if (next.find()) {
        URI address;
        try {
          address = response.request().uri().resolve(next.group(1));
        } catch (IllegalArgumentException e) {
          throw new HubException(Reason.DAMAGED, what + " goes on at no address", e);
        }
        if (!transport.isHub(address)) {
          throw new HubException(
              Reason.DAMAGED,
              "%s goes on at %s, which is not the hub; not followed"
                  .formatted(what, Text.printable(String.valueOf(address.getHost()))));
        }
        return Optional.of(address);
      }
    }
    return Optional.empty();
  }

  /** Sends a request until it succeeds or cannot. */
  HttpResponse<byte[]> call(HttpRequest request, Repo repo, String what) throws IOException {
    HttpResponse<byte[]> response = answer(request);
    if (response.statusCode() / 100 != 2) {
      throw new Refusals(settings).of(response, repo, what);
    }
    return response;
  }

  /** Sends a request until there is an answer that will not pass. */
  HttpResponse<byte[]> answer(HttpRequest request) throws IOException {
    Attempts attempts = new Attempts(tuning, listener, request.uri().getHost());
    while (true) {
      HttpResponse<byte[]> response;
      try {
        response = transport.send(request);
      } catch (IOException e) {
        attempts.failed(e);
        continue;
      }
      if (!Attempts.mayPass(response.statusCode())
          || !attempts.failed(response.statusCode(), response.headers())) {
        return response;
      }
    }
  }

  /** The body of an answer as JSON. */
  static JsonNode json(HttpResponse<byte[]> response, String what) throws HubException {
    try {
      return JSON.readTree(response.body());
    } catch (JacksonException e) {
      throw new HubException(
          Reason.DAMAGED,
          "%s: the answer is no JSON (%s); is HF_ENDPOINT a hub?"
              .formatted(what, Text.printable(e.getOriginalMessage())),
          e);
    }
  }
}
