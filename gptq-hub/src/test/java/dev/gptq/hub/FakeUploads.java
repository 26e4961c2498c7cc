package dev.gptq.hub;

import com.sun.net.httpserver.HttpExchange;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The part of {@link FakeHub} that takes uploads. */
final class FakeUploads {
  private static final Pattern REPO =
      Pattern.compile("/api/(models/[^/]+/[^/]+)/(preupload|commit)/([^/?]+)");
  private static final Pattern BATCH =
      Pattern.compile("/([^/]+/[^/]+)\\.git/info/lfs/objects/batch");
  private static final Pattern PART = Pattern.compile("/part/([0-9a-f]{64})/(\\d+)");
  private static final Pattern WHOLE = Pattern.compile("/upload/([0-9a-f]{64})");

  private final FakeHub hub;

  /** What large-file storage holds. */
  final Map<String, byte[]> objects = new ConcurrentHashMap<>();

  /** Paths that were written, in order. */
  final List<String> commits = Collections.synchronizedList(new ArrayList<>());

  /** Bytes of a part; objects larger than that go up in parts. */
  volatile int partSize = 1 << 30;

  /** Whether a repository asked to be private is made public all the same. */
  volatile boolean ignoresVisibility;

  private final Map<String, byte[]> parts = new ConcurrentHashMap<>();

  FakeUploads(FakeHub hub) {
    this.hub = hub;
  }

  boolean handle(HttpExchange exchange, String path) throws IOException {
    Matcher repo = REPO.matcher(path);
    Matcher batch = BATCH.matcher(path);
    if (path.equals("/api/whoami-v2")) {
      whoami(exchange);
    } else if (!exchange.getRequestMethod().equals("POST")) {
      return false;
    } else if (!FakeHub.authorized(exchange)) {
      FakeHub.error(exchange, 401, "", "Invalid username or password.");
    } else if (path.equals("/api/repos/create")) {
      create(exchange);
    } else if (repo.matches() && hub.repos.containsKey(repo.group(1))) {
      if (repo.group(2).equals("preupload")) {
        preupload(exchange, hub.repos.get(repo.group(1)));
      } else {
        commit(exchange, hub.repos.get(repo.group(1)));
      }
    } else if (batch.matches()) {
      batch(exchange);
    } else if (path.startsWith("/complete/")) {
      complete(exchange, path.substring("/complete/".length()));
    } else if (path.equals("/verify")) {
      JsonNode asked = body(exchange);
      byte[] stored = objects.get(asked.path("oid").asString());
      boolean right = stored != null && stored.length == asked.path("size").asLong();
      FakeHub.send(exchange, right ? 200 : 422, new byte[0]);
    } else {
      return false;
    }
    return true;
  }

  /** Takes bytes of large files, which come with a signature and not with a token. */
  boolean store(HttpExchange exchange, String path) throws IOException {
    if (!exchange.getRequestMethod().equals("PUT")) {
      return false;
    }
    byte[] body = exchange.getRequestBody().readAllBytes();
    Matcher whole = WHOLE.matcher(path);
    Matcher part = PART.matcher(path);
    if (whole.matches()) {
      objects.put(whole.group(1), body);
    } else if (part.matches()) {
      parts.put(part.group(1) + "/" + part.group(2), body);
      exchange.getResponseHeaders().set("ETag", "\"p" + part.group(2) + "\"");
    }
    FakeHub.send(exchange, 200, new byte[0]);
    return true;
  }

  private static void whoami(HttpExchange exchange) throws IOException {
    if (FakeHub.authorized(exchange)) {
      FakeHub.json(
          exchange,
          "{\"type\":\"user\",\"name\":\"me\",\"auth\":{\"accessToken\":{\"role\":\"write\"}}}");
    } else {
      FakeHub.error(exchange, 401, "", "Invalid username or password.");
    }
  }

  private void create(HttpExchange exchange) throws IOException {
    JsonNode asked = body(exchange);
    String id = asked.path("organization").asString("me") + "/" + asked.path("name").asString();
    if (hub.repos.containsKey("models/" + id)) {
      FakeHub.error(exchange, 409, "", "You already created this model repo");
      return;
    }
    if (!id.startsWith("me/")) {
      FakeHub.error(exchange, 403, "", "You don't have the rights to create a model there");
      return;
    }
    hub.model(id).visibility =
        ignoresVisibility ? "public" : asked.path("visibility").asString("public");
    FakeHub.json(exchange, "{\"url\":\"" + hub.endpoint() + "/" + id + "\"}");
  }

  private static void preupload(HttpExchange exchange, FakeRepo repo) throws IOException {
    ObjectNode answer = JsonMapper.shared().createObjectNode();
    ArrayNode files = answer.putArray("files");
    for (JsonNode file : body(exchange).path("files")) {
      String path = file.path("path").asString();
      byte[] there = repo.commits.get(repo.commit).get(path);
      files
          .addObject()
          .put("path", path)
          .put("uploadMode", path.endsWith(".safetensors") ? "lfs" : "regular")
          .put("shouldIgnore", path.endsWith(".ignored"))
          .put("oid", there == null ? null : repo.digest(path, there));
    }
    FakeHub.json(exchange, answer.toString());
  }

  private void batch(HttpExchange exchange) throws IOException {
    ObjectNode answer = JsonMapper.shared().createObjectNode();
    answer.put("transfer", "basic");
    ArrayNode list = answer.putArray("objects");
    for (JsonNode object : body(exchange).path("objects")) {
      String oid = object.path("oid").asString();
      long size = object.path("size").asLong();
      ObjectNode told = list.addObject().put("oid", oid).put("size", size);
      if (objects.containsKey(oid)) {
        continue;
      }
      ObjectNode actions = told.putObject("actions");
      ObjectNode upload = actions.putObject("upload");
      if (size > partSize) {
        upload.put("href", hub.endpoint() + "/complete/" + oid);
        ObjectNode header = upload.putObject("header").put("chunk_size", "" + partSize);
        for (int i = 1; i <= (size + partSize - 1) / partSize; i++) {
          header.put("" + i, hub.storageAddress() + "/part/" + oid + "/" + i);
        }
      } else {
        upload.put("href", hub.storageAddress() + "/upload/" + oid);
      }
      actions.putObject("verify").put("href", hub.endpoint() + "/verify");
    }
    FakeHub.json(exchange, answer.toString());
  }

  private void complete(HttpExchange exchange, String oid) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (JsonNode part : body(exchange).path("parts")) {
      int number = part.path("partNumber").asInt();
      if (!part.path("etag").asString().equals("\"p" + number + "\"")) {
        throw new IllegalStateException("part " + part);
      }
      all.writeBytes(parts.get(oid + "/" + number));
    }
    objects.put(oid, all.toByteArray());
    FakeHub.send(exchange, 200, new byte[0]);
  }

  private void commit(HttpExchange exchange, FakeRepo repo) throws IOException {
    String text = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    for (String line : text.lines().toList()) {
      JsonNode item = JsonMapper.shared().readTree(line);
      JsonNode value = item.path("value");
      String path = value.path("path").asString("");
      switch (item.path("key").asString()) {
        case "header" -> {
          String parent = value.path("parentCommit").asString(repo.commit);
          if (!parent.equals(repo.commit)) {
            FakeHub.error(exchange, 412, "", "A commit has happened since");
            return;
          }
          commits.add(value.path("summary").asString());
        }
        case "file" ->
            repo.file(path, Base64.getDecoder().decode(value.path("content").asString()));
        case "lfsFile" -> repo.large(path, objects.get(value.path("oid").asString()));
        default -> throw new IllegalStateException(line);
      }
      if (!path.isEmpty()) {
        commits.add(path);
      }
    }
    FakeHub.json(
        exchange,
        "{\"success\":true,\"commitOid\":\"%s\",\"commitUrl\":\"%s/%s/commit/%s\"}"
            .formatted(repo.commit, hub.endpoint(), repo.api, repo.commit));
  }

  private static JsonNode body(HttpExchange exchange) throws IOException {
    return JsonMapper.shared().readTree(exchange.getRequestBody().readAllBytes());
  }
}
