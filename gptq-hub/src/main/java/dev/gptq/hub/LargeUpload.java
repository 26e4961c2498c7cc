package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Files into large-file storage: the batch interface of Git LFS, with its basic transfer and the
 * hub's own in parts. What the storage has already is not sent again, so that an upload that was
 * interrupted goes on.
 */
final class LargeUpload {
  private static final int BATCH = 100;
  private static final String TYPE = "application/vnd.git-lfs+json";

  /** The slowest line that is waited for, in bytes a second. */
  private static final long SLOWEST = 50_000;

  /**
   * A file and its SHA-256.
   *
   * @param file what is sent
   * @param oid its digest, by which the storage knows it
   */
  record Item(UploadFile file, String oid) {}

  private final HubSettings settings;
  private final Transport transport;
  private final Api api;
  private final Repo repo;
  private final Meter meter;

  LargeUpload(HubSettings settings, Transport transport, Api api, Repo repo, Meter meter) {
    this.settings = settings;
    this.transport = transport;
    this.api = api;
    this.repo = repo;
    this.meter = meter;
  }

  /** Sends what the storage lacks, file after file. */
  void send(List<Item> items, String revision) throws IOException {
    for (int from = 0; from < items.size(); from += BATCH) {
      List<Item> batch = items.subList(from, Math.min(from + BATCH, items.size()));
      Map<String, JsonNode> told = ask(batch, revision);
      for (Item item : batch) {
        JsonNode object = told.get(item.oid());
        if (object == null) {
          throw odd(item, "does not say where to send it");
        }
        if (object.path("error").isObject()) {
          throw odd(item, object.path("error").path("message").asString("refuses it"));
        }
        sendOne(item, object.path("actions"));
      }
    }
  }

  private Map<String, JsonNode> ask(List<Item> batch, String revision) throws IOException {
    ObjectNode body = Api.JSON.createObjectNode().put("operation", "upload");
    body.putArray("transfers").add("basic").add("multipart");
    body.put("hash_algo", "sha256").putObject("ref").put("name", revision);
    ArrayNode objects = body.putArray("objects");
    for (Item item : batch) {
      objects.addObject().put("oid", item.oid()).put("size", item.file().size());
    }
    HttpRequest request =
        transport
            .request(settings.address(repo.page() + ".git/info/lfs/objects/batch"))
            .setHeader("Accept", TYPE)
            .header("Content-Type", TYPE)
            .POST(BodyPublishers.ofByteArray(Api.JSON.writeValueAsBytes(body)))
            .build();
    String what = "the large files of " + repo;
    Map<String, JsonNode> told = new HashMap<>();
    for (JsonNode object : Api.json(api.call(request, repo, what), what).path("objects")) {
      told.put(object.path("oid").asString(""), object);
    }
    return told;
  }

  private void sendOne(Item item, JsonNode actions) throws IOException {
    JsonNode upload = actions.path("upload");
    if (!upload.isObject()) {
      meter.skip(item.file().size());
      return;
    }
    URI target = address(item, upload.path("href"));
    JsonNode header = upload.path("header");
    if (header.has("chunk_size")) {
      sendParts(item, target, header);
    } else {
      HttpRequest.Builder request = put(target, item.file().size());
      for (Map.Entry<String, JsonNode> field : header.properties()) {
        setHeader(item, request, field.getKey(), field.getValue().asString(""));
      }
      request.PUT(new FileRange(item.file().file(), 0, item.file().size(), meter));
      api.call(request.build(), repo, item.file().path());
    }
    JsonNode verify = actions.path("verify");
    if (verify.isObject()) {
      ObjectNode body =
          Api.JSON.createObjectNode().put("oid", item.oid()).put("size", item.file().size());
      post(item, address(item, verify.path("href")), body);
    }
  }

  private static void setHeader(Item item, HttpRequest.Builder request, String name, String value)
      throws HubException {
    try {
      request.setHeader(name, value);
    } catch (IllegalArgumentException e) {
      throw new HubException(
          Reason.DAMAGED,
          "%s: the hub wants a header '%s', which cannot be sent"
              .formatted(item.file().path(), Text.printable(name)),
          e);
    }
  }

  private void sendParts(Item item, URI completion, JsonNode header) throws IOException {
    long size = item.file().size();
    long part = header.path("chunk_size").asLong(0);
    if (part <= 0) {
      throw odd(item, "gives parts no size");
    }
    ObjectNode body = Api.JSON.createObjectNode().put("oid", item.oid());
    ArrayNode done = body.putArray("parts");
    for (URI address : partAddresses(item, header, Math.ceilDiv(size, part))) {
      long start = done.size() * part;
      long length = Math.min(part, size - start);
      HttpRequest request =
          put(address, length).PUT(new FileRange(item.file().file(), start, length, meter)).build();
      HttpResponse<byte[]> answer = api.call(request, repo, item.file().path());
      String tag =
          answer
              .headers()
              .firstValue("ETag")
              .orElseThrow(() -> odd(item, "takes a part without a receipt"));
      ObjectNode receipt = done.addObject().put("etag", tag);
      receipt.put("partNumber", done.size());
    }
    post(item, completion, body);
  }

  private ImmutableList<URI> partAddresses(Item item, JsonNode header, long count)
      throws HubException {
    List<URI> addresses = new ArrayList<>();
    for (long number = 1; number <= count; number++) {
      JsonNode address = header.path(Long.toString(number));
      // Some storages count with leading zeros.
      for (Map.Entry<String, JsonNode> field : header.properties()) {
        if (field.getKey().matches("0*" + number)) {
          address = field.getValue();
        }
      }
      addresses.add(address(item, address));
    }
    return ImmutableList.copyOf(addresses);
  }

  private HttpRequest.Builder put(URI target, long bytes) {
    return transport
        .request(target)
        .timeout(settings.answerTimeout().plus(Duration.ofSeconds(60 + bytes / SLOWEST)));
  }

  private void post(Item item, URI target, ObjectNode body) throws IOException {
    HttpRequest request =
        transport
            .request(target)
            .timeout(settings.answerTimeout().plusMinutes(2))
            .setHeader("Accept", TYPE)
            .header("Content-Type", TYPE)
            .POST(BodyPublishers.ofByteArray(Api.JSON.writeValueAsBytes(body)))
            .build();
    api.call(request, repo, item.file().path());
  }

  private URI address(Item item, JsonNode text) throws HubException {
    try {
      URI address = new URI(text.asString(""));
      boolean asSafe =
          "https".equals(address.getScheme())
              || settings.endpoint().getScheme().equals(address.getScheme());
      if (address.getHost() != null && asSafe) {
        return address;
      }
    } catch (URISyntaxException e) {
      throw odd(item, "sends it to no address");
    }
    throw odd(item, "sends it to '" + Text.printable(text.asString("")) + "'");
  }

  private HubException odd(Item item, String how) {
    return new HubException(
        Reason.DAMAGED,
        "%s: the hub %s; try again later".formatted(item.file().path(), Text.printable(how)));
  }
}
