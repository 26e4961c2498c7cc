package dev.gptq.hub;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Behaves like the hub: the API and small files at one port, large files at another one, to which
 * the first redirects. Goes wrong where a test says so.
 */
public final class FakeHub implements AutoCloseable {
  /** The token that it takes. */
  public static final String TOKEN = "hf_secret";

  /** A request that came. */
  record Request(String method, String path, Headers headers) {}

  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d*)");
  private static final Pattern RESOLVE =
      Pattern.compile("/((?:datasets/)?[^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)");
  private static final Pattern API =
      Pattern.compile("/api/((?:models|datasets)/[^/]+(?:/[^/]+)?)/(revision|tree)/([^/?]+)");
  private static final int PAGE = 3;

  final Map<String, FakeRepo> repos = new TreeMap<>();
  final List<Request> hubRequests = Collections.synchronizedList(new ArrayList<>());
  final List<Request> storageRequests = Collections.synchronizedList(new ArrayList<>());

  /** Statuses that come before right answers, from both servers. */
  final Deque<Integer> failures = new ConcurrentLinkedDeque<>();

  /** Headers of those failures. */
  final Map<String, String> failureHeaders = new ConcurrentHashMap<>();

  /** What large-file storage sends in place of a file. */
  final Map<String, byte[]> tampered = new ConcurrentHashMap<>();

  /** After how many bytes connections to large-file storage are cut; not if 0. */
  volatile int cutAfter;

  /** Whether large-file storage sends half of a body and then nothing. */
  volatile boolean stalls;

  volatile boolean heedsRanges = true;
  volatile boolean tagChanges;

  /** Each address of large-file storage works as often. */
  volatile int signatureLasts = Integer.MAX_VALUE;

  /** After how many requests to large-file storage all models are gated. */
  volatile int gatedAfter = Integer.MAX_VALUE;

  /** Where the list of files goes on, in place of its true next page. */
  volatile String nextPage;

  /** Where large files are said to be, in place of the storage. */
  volatile String redirectTo;

  /** What went wrong in this class itself. */
  private final List<RuntimeException> defects = new CopyOnWriteArrayList<>();

  final FakeUploads uploads = new FakeUploads(this);
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final CountDownLatch closed = new CountDownLatch(1);
  private final HttpServer hub;
  private final HttpServer storage;
  private final AtomicInteger tags = new AtomicInteger();
  private final Map<String, AtomicInteger> uses = new ConcurrentHashMap<>();
  private final AtomicInteger signatures = new AtomicInteger();

  /** At a free port. */
  public FakeHub() throws IOException {
    this(0);
  }

  FakeHub(int port) throws IOException {
    hub = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
    storage = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    hub.createContext("/", exchange -> serve(exchange, hubRequests, this::hub));
    storage.createContext("/", exchange -> serve(exchange, storageRequests, this::storage));
    hub.setExecutor(threads);
    storage.setExecutor(threads);
    hub.start();
    storage.start();
  }

  /** A model, made if there is none. */
  public FakeRepo model(String id) {
    return repos.computeIfAbsent("models/" + id, FakeRepo::new);
  }

  /** A data set, made if there is none. */
  public FakeRepo dataset(String id) {
    return repos.computeIfAbsent("datasets/" + id, FakeRepo::new);
  }

  /** Where it is. */
  public URI endpoint() {
    return address(hub);
  }

  /** The files of a model now. */
  public Set<String> files(String id) {
    FakeRepo repo = model(id);
    return repo.commits.get(repo.commit).keySet();
  }

  URI storageAddress() {
    return address(storage);
  }

  private static URI address(HttpServer server) {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  private interface Handler {
    void handle(HttpExchange exchange, String path) throws IOException;
  }

  private void serve(HttpExchange exchange, List<Request> log, Handler handler) {
    try {
      URI uri = exchange.getRequestURI();
      String path = uri.getRawPath() + (uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery());
      log.add(new Request(exchange.getRequestMethod(), path, exchange.getRequestHeaders()));
      Integer failure = failures.poll();
      if (failure != null) {
        failureHeaders.forEach(exchange.getResponseHeaders()::set);
        send(exchange, failure, new byte[0]);
      } else {
        handler.handle(exchange, path);
      }
    } catch (IOException e) {
      // The client went away, or was cut off, as a test wants it.
      exchange.close();
    } catch (RuntimeException e) {
      // The server would swallow it.
      defects.add(e);
      exchange.close();
    }
    exchange.close();
  }

  private void hub(HttpExchange exchange, String path) throws IOException {
    Matcher api = API.matcher(path);
    Matcher resolve = RESOLVE.matcher(path);
    if (api.lookingAt()) {
      FakeRepo repo = repos.get(api.group(1));
      if (visible(exchange, repo)) {
        if (api.group(2).equals("revision")) {
          revision(exchange, repo, api.group(3));
        } else {
          tree(exchange, repo, api.group(3), path);
        }
      }
    } else if (resolve.matches()) {
      String id = resolve.group(1);
      FakeRepo repo = repos.get(id.startsWith("datasets/") ? id : "models/" + id);
      if (visible(exchange, repo)) {
        file(exchange, repo, resolve.group(2), decoded(resolve.group(3)));
      }
    } else if (!uploads.handle(exchange, path)) {
      error(exchange, 404, "RepoNotFound", "Repository not found");
    }
  }

  private static String decoded(String path) {
    return URI.create("x:/" + path).getPath().substring(1);
  }

  static boolean authorized(HttpExchange exchange) {
    return ("Bearer " + TOKEN).equals(exchange.getRequestHeaders().getFirst("Authorization"));
  }

  private static boolean visible(HttpExchange exchange, FakeRepo repo) throws IOException {
    String sent = exchange.getRequestHeaders().getFirst("Authorization");
    if (sent != null && !authorized(exchange)) {
      error(exchange, 401, "", "Invalid credentials in Authorization header");
    } else if (repo == null || (repo.isPrivate && sent == null)) {
      error(exchange, sent == null ? 401 : 404, "RepoNotFound", "Repository not found");
    } else {
      return true;
    }
    return false;
  }

  private static void revision(HttpExchange exchange, FakeRepo repo, String revision)
      throws IOException {
    String commit = repo.commitOf(revision);
    boolean isBranch = !commit.equals(revision);
    if (isBranch || repo.commits.containsKey(commit)) {
      json(
          exchange,
          "{\"id\":\"%s\",\"sha\":\"%s\",\"private\":%s,\"siblings\":[],\"tags\":[]}"
              .formatted(
                  repo.api.substring(repo.api.indexOf('/') + 1),
                  commit,
                  repo.visibility.equals("private")));
    } else {
      error(exchange, 404, "RevisionNotFound", "Invalid rev id: " + revision);
    }
  }

  /** A page of the list of files, with a link to the next. */
  private void tree(HttpExchange exchange, FakeRepo repo, String commit, String path)
      throws IOException {
    Matcher cursor = Pattern.compile("cursor=(\\d+)").matcher(path);
    int from = cursor.find() ? Integer.parseInt(cursor.group(1)) : 0;
    List<String> paths = new ArrayList<>(repo.commits.get(commit).keySet());
    List<String> entries = new ArrayList<>();
    if (from == 0) {
      entries.add("{\"type\":\"directory\",\"path\":\"onnx\",\"size\":0,\"oid\":\"\"}");
    }
    for (String file : paths.subList(from, Math.min(from + PAGE, paths.size()))) {
      entries.add(repo.entry(commit, file));
    }
    if (nextPage != null || from + PAGE < paths.size()) {
      String next =
          nextPage != null
              ? nextPage
              : endpoint()
                  + path.replaceFirst("\\?.*", "")
                  + "?recursive=true&cursor="
                  + (from + PAGE);
      exchange.getResponseHeaders().set("Link", "<" + next + ">; rel=\"next\"");
    }
    json(exchange, "[" + String.join(",", entries) + "]");
  }

  private void file(HttpExchange exchange, FakeRepo repo, String revision, String path)
      throws IOException {
    String commit = repo.commitOf(revision);
    byte[] bytes = repo.commits.getOrDefault(commit, Map.of()).get(path);
    if (repo.gated) {
      boolean known = authorized(exchange);
      error(exchange, known ? 403 : 401, "GatedRepo", "Access to model is restricted");
      return;
    }
    if (bytes == null) {
      error(exchange, 404, "EntryNotFound", "Entry not found");
      return;
    }
    Headers headers = exchange.getResponseHeaders();
    headers.set("X-Repo-Commit", commit);
    String digest = repo.digest(path, bytes);
    if (repo.large.contains(path)) {
      headers.set("X-Linked-Etag", "\"" + digest + "\"");
      headers.set("X-Linked-Size", Long.toString(bytes.length));
      headers.set(
          "Location",
          redirectTo != null
              ? redirectTo
              : storageAddress()
                  + "/blob/"
                  + repo.api
                  + "/"
                  + digest
                  + "?signature="
                  + signatures.incrementAndGet());
      exchange.sendResponseHeaders(302, -1);
    } else {
      headers.set("ETag", "\"" + digest + "\"");
      content(exchange, tampered.getOrDefault(path, bytes));
    }
  }

  private void storage(HttpExchange exchange, String path) throws IOException {
    if (uploads.store(exchange, path)) {
      return;
    }
    if (storageRequests.size() > gatedAfter) {
      repos.values().forEach(repo -> repo.gated = true);
      send(exchange, 403, new byte[0]);
      return;
    }
    Matcher blob = Pattern.compile("/blob/(.+)/([0-9a-f]{64})\\?signature=(\\d+)").matcher(path);
    if (!blob.matches()
        || uses.computeIfAbsent(blob.group(3), s -> new AtomicInteger()).incrementAndGet()
            > signatureLasts) {
      send(exchange, 403, new byte[0]);
      return;
    }
    for (Map<String, byte[]> files : repos.get(blob.group(1)).commits.values()) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        if (FakeRepo.sha256(file.getValue()).equals(blob.group(2))) {
          exchange
              .getResponseHeaders()
              .set("ETag", "\"s" + (tagChanges ? tags.incrementAndGet() : 0) + "\"");
          content(exchange, tampered.getOrDefault(file.getKey(), file.getValue()));
          return;
        }
      }
    }
    send(exchange, 404, new byte[0]);
  }

  private void content(HttpExchange exchange, byte[] bytes) throws IOException {
    String asked = exchange.getRequestHeaders().getFirst("Range");
    Headers headers = exchange.getResponseHeaders();
    int from = 0;
    int to = bytes.length;
    int status = 200;
    if (asked != null && heedsRanges) {
      Matcher range = RANGE.matcher(asked);
      if (!range.matches()) {
        throw new IllegalStateException("range " + asked);
      }
      from = Integer.parseInt(range.group(1));
      to = range.group(2).isEmpty() ? to : Integer.parseInt(range.group(2)) + 1;
      headers.set("Content-Range", "bytes %d-%d/%d".formatted(from, to - 1, bytes.length));
      status = 206;
    }
    if (exchange.getRequestMethod().equals("HEAD")) {
      headers.set("Content-Length", Integer.toString(to - from));
      exchange.sendResponseHeaders(status, -1);
      return;
    }
    exchange.sendResponseHeaders(status, to == from ? -1 : to - from);
    OutputStream body = exchange.getResponseBody();
    if (stalls) {
      body.write(bytes, from, (to - from) / 2);
      body.flush();
      try {
        closed.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    } else if (cutAfter > 0 && to - from > cutAfter) {
      // Ending the exchange before all bytes are sent drops the connection.
      body.write(bytes, from, cutAfter);
      body.flush();
    } else {
      body.write(bytes, from, to - from);
    }
  }

  static void json(HttpExchange exchange, String text) throws IOException {
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    send(exchange, 200, text.getBytes(StandardCharsets.UTF_8));
  }

  static void error(HttpExchange exchange, int status, String code, String message)
      throws IOException {
    if (!code.isEmpty()) {
      exchange.getResponseHeaders().set("X-Error-Code", code);
    }
    exchange.getResponseHeaders().set("X-Error-Message", message);
    send(exchange, status, "{\"error\":\"x\"}".getBytes(StandardCharsets.UTF_8));
  }

  static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    boolean none = body.length == 0 || exchange.getRequestMethod().equals("HEAD");
    exchange.sendResponseHeaders(status, none ? -1 : body.length);
    if (!none) {
      exchange.getResponseBody().write(body);
    }
  }

  @Override
  public void close() {
    closed.countDown();
    hub.stop(0);
    storage.stop(0);
    threads.shutdownNow();
    for (RuntimeException defect : defects) {
      throw new AssertionError("a defect of the fake hub", defect);
    }
  }
}
