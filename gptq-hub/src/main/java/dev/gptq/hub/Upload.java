package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Puts the files of a folder into a repository, as one commit. */
final class Upload {
  private static final String MAIN = HubReference.MAIN;
  private static final int SAMPLE = 512;
  private static final int QUESTION = 250;

  private final HubSettings settings;
  private final Transport transport;
  private final TransferListener listener;
  private final Api api;

  Upload(HubSettings settings, Transport transport, Tuning tuning, TransferListener listener) {
    this.settings = settings;
    this.transport = transport;
    this.listener = listener;
    this.api = new Api(settings, transport, tuning, listener);
  }

  /** Finds out what is to be done; changes nothing. */
  UploadPlan plan(Path folder, String name, boolean isPrivate) throws IOException {
    if (settings.offline()) {
      throw new HubException(
          Reason.OFFLINE, "HF_HUB_OFFLINE is set, so nothing is uploaded; unset it");
    }
    if (settings.token().isEmpty()) {
      throw new HubException(
          Reason.UNAUTHORIZED,
          "an upload needs a token that may write: set HF_TOKEN to one from %s/settings/tokens"
              .formatted(settings.endpoint()));
    }
    // What is wrong with the folder is said before anything is asked.
    UploadFolder.read(folder, List.of());
    Repo repo = Repo.of(RepoKind.MODEL, name.contains("/") ? name : account() + "/" + name);
    Optional<JsonNode> there = find(repo);
    if (there.isEmpty()) {
      return new UploadPlan(
          repo, Optional.empty(), isPrivate, UploadFolder.read(folder, List.of()));
    }
    requirePrivacy(repo, there.get(), isPrivate);
    String head = Names.requireCommit(there.get().path("sha").asString(""), repo);
    return new UploadPlan(
        repo,
        Optional.of(head),
        there.get().path("private").asBoolean(false),
        UploadFolder.read(folder, api.files(repo, head)));
  }

  private String account() throws IOException {
    String what = "the account of the token";
    HttpRequest request = transport.request(settings.address("api/whoami-v2")).GET().build();
    HttpResponse<byte[]> answer = api.answer(request);
    String name =
        answer.statusCode() == 200 ? Api.json(answer, what).path("name").asString("") : "";
    if (name.isEmpty()) {
      throw new HubException(
          Reason.UNAUTHORIZED,
          "the hub does not take the %s; make a new one at %s/settings/tokens"
              .formatted(settings.token().orElseThrow(), settings.endpoint()));
    }
    return name;
  }

  private Optional<JsonNode> find(Repo repo) throws IOException {
    try {
      return Optional.of(api.info(repo, "/revision/" + MAIN, repo.toString()));
    } catch (HubException e) {
      if (e.reason() == Reason.NOT_FOUND) {
        return Optional.empty();
      }
      throw e;
    }
  }

  private static void requirePrivacy(Repo repo, JsonNode info, boolean isPrivate)
      throws HubException {
    if (isPrivate && !info.path("private").asBoolean(false)) {
      throw new HubException(
          Reason.INVALID,
          "%s is public, so nothing is uploaded; make it private in its settings, or give another"
                  .formatted(repo)
              + " name");
    }
  }

  /** Does what a plan says, and returns the address of the commit. */
  URI run(UploadPlan plan, String message) throws IOException {
    String head = plan.head().isPresent() ? plan.head().get() : create(plan);
    List<UploadFile> changes = plan.changes();
    if (changes.isEmpty()) {
      return settings.address(plan.repo().page() + "/commit/" + head);
    }
    Meter meter = new Meter(listener, System::nanoTime, plan.bytes());
    Map<String, JsonNode> modes = modes(plan.repo(), changes);
    List<LargeUpload.Item> large = new ArrayList<>();
    List<UploadFile> small = new ArrayList<>();
    for (UploadFile file : changes) {
      JsonNode mode = modes.getOrDefault(file.path(), Api.JSON.createObjectNode());
      if (mode.path("shouldIgnore").asBoolean(false)) {
        listener.note(file.path() + " is left out, as .gitignore of the repository says");
        meter.skip(file.size());
      } else if (mode.path("uploadMode").asString("").equals("lfs") && file.size() > 0) {
        large.add(new LargeUpload.Item(file, Digests.sha256(file.file())));
      } else {
        small.add(file);
      }
    }
    new LargeUpload(settings, transport, api, plan.repo(), meter).send(large, MAIN);
    URI commit = commit(plan.repo(), head, message, large, small);
    meter.add(small.stream().mapToLong(UploadFile::size).sum());
    return commit;
  }

  private String create(UploadPlan plan) throws IOException {
    Repo repo = plan.repo();
    ObjectNode body =
        Api.JSON
            .createObjectNode()
            .put("type", "model")
            .put("name", repo.name())
            .put("organization", repo.owner())
            .put("visibility", plan.isPrivate() ? "private" : "public");
    HttpResponse<byte[]> answer =
        api.answer(post(settings.address("api/repos/create"), "application/json", bytes(body)));
    if (answer.statusCode() == 409) {
      throw changed(repo);
    }
    if (answer.statusCode() / 100 != 2) {
      throw new Refusals(settings).of(answer, repo, "creating " + repo);
    }
    JsonNode info = api.info(repo, "/revision/" + MAIN, repo.toString());
    requirePrivacy(repo, info, plan.isPrivate());
    return Names.requireCommit(info.path("sha").asString(""), repo);
  }

  /** Which way the hub wants each file to come. */
  private Map<String, JsonNode> modes(Repo repo, List<UploadFile> files) throws IOException {
    Map<String, JsonNode> modes = new HashMap<>();
    for (int from = 0; from < files.size(); from += QUESTION) {
      ObjectNode body = Api.JSON.createObjectNode();
      ArrayNode list = body.putArray("files");
      for (UploadFile file : files.subList(from, Math.min(from + QUESTION, files.size()))) {
        list.addObject()
            .put("path", file.path())
            .put("size", file.size())
            .put("sample", Base64.getEncoder().encodeToString(beginning(file.file())));
      }
      String what = "the files of " + repo;
      HttpRequest request =
          post(
              settings.address(repo.api() + "/preupload/" + MAIN), "application/json", bytes(body));
      HttpResponse<byte[]> answer = api.call(request, repo, what);
      for (JsonNode file : Api.json(answer, what).path("files")) {
        modes.put(file.path("path").asString(""), file);
      }
    }
    return modes;
  }

  private static byte[] beginning(Path file) throws IOException {
    try (InputStream input = Files.newInputStream(file)) {
      return input.readNBytes(SAMPLE);
    }
  }

  /**
   * The commit, on top of the one that the plan saw. It is not asked for again where an answer
   * fails to come: it may have been made.
   */
  private URI commit(
      Repo repo, String head, String message, List<LargeUpload.Item> large, List<UploadFile> small)
      throws IOException {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    line(
        body,
        "header",
        Api.JSON
            .createObjectNode()
            .put("summary", message)
            .put("description", "")
            .put("parentCommit", head));
    for (UploadFile file : small) {
      line(
          body,
          "file",
          Api.JSON
              .createObjectNode()
              .put("path", file.path())
              .put("encoding", "base64")
              .put("content", Base64.getEncoder().encodeToString(Files.readAllBytes(file.file()))));
    }
    for (LargeUpload.Item item : large) {
      line(
          body,
          "lfsFile",
          Api.JSON
              .createObjectNode()
              .put("path", item.file().path())
              .put("algo", "sha256")
              .put("oid", item.oid())
              .put("size", item.file().size()));
    }
    HttpRequest request =
        post(
            settings.address(repo.api() + "/commit/" + MAIN),
            "application/x-ndjson",
            body.toByteArray());
    HttpResponse<byte[]> answer;
    try {
      answer = transport.send(request);
    } catch (HubException e) {
      throw e;
    } catch (IOException e) {
      throw new HubException(
          Reason.UNREACHABLE,
          "%s: no answer to the commit (%s); see %s/%s/commits/main whether it was made, and else upload"
                  .formatted(
                      repo,
                      Text.printable(String.valueOf(e.getMessage())),
                      settings.endpoint(),
                      repo.page())
              + " again: what was sent is kept",
          e);
    }
    if (answer.statusCode() == 412) {
      throw changed(repo);
    }
    if (answer.statusCode() / 100 != 2) {
      throw new Refusals(settings).of(answer, repo, "the commit to " + repo);
    }
    String commit = Api.json(answer, "the commit to " + repo).path("commitOid").asString("");
    return settings.address(repo.page() + "/commit/" + Names.requireCommit(commit, repo));
  }

  private static HubException changed(Repo repo) {
    return new HubException(
        Reason.INVALID, repo + " has changed meanwhile; upload again: what was sent is kept");
  }

  private static void line(ByteArrayOutputStream body, String key, ObjectNode value) {
    ObjectNode line = Api.JSON.createObjectNode().put("key", key);
    line.set("value", value);
    body.writeBytes(bytes(line));
    body.write('\n');
  }

  private static byte[] bytes(JsonNode body) {
    return Api.JSON.writeValueAsBytes(body);
  }

  private HttpRequest post(URI address, String type, byte[] body) {
    return transport
        .request(address)
        .timeout(settings.answerTimeout().plusMinutes(2))
        .header("Content-Type", type)
        .POST(BodyPublishers.ofByteArray(body))
        .build();
  }
}
