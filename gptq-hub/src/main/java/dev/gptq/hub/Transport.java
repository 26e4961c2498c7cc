package dev.gptq.hub;

import com.google.common.base.Throwables;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Sends single requests. The token goes to the hub's own scheme, host and port only; redirections
 * are followed here and not by the client of the JDK, which would carry it along. HTTP 1.1, because
 * HTTP 2 would send all ranges of a file through one connection.
 */
final class Transport implements AutoCloseable {
  private static final int MOST_REDIRECTS = 5;
  private static final long LONGEST_ANSWER = 100_000_000;

  /** How much longer than its first byte the last byte of an answer to the API may take. */
  private static final int BODY_FACTOR = 6;

  /** For the client's own timeout, which names its cause better, to come first. */
  private static final Duration GRACE = Duration.ofSeconds(1);

  private static final String AGENT = "gptq-hub (Java %s)".formatted(Runtime.version().feature());

  private final HubSettings settings;
  private final HttpClient client;

  Transport(HubSettings settings) {
    this.settings = settings;
    this.client =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(settings.answerTimeout())
            .proxy(settings.proxies())
            .build();
  }

  /** A request to an address, with the token if that is the hub's. */
  HttpRequest.Builder request(URI address) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(address)
            .timeout(settings.answerTimeout())
            .header("User-Agent", AGENT)
            // Compressed text would come without a length.
            .header("Accept-Encoding", "identity");
    settings
        .proxies()
        .authorization(address)
        .ifPresent(a -> request.header("Proxy-Authorization", a));
    if (isHub(address)) {
      settings.token().ifPresent(t -> request.header("Authorization", "Bearer " + t.value()));
    }
    return request;
  }

  /** Whether an address is the hub itself. */
  boolean isHub(URI address) {
    return origin(address).equals(origin(settings.endpoint()));
  }

  /** Sends a request as it is; the answer is there when its headers are. */
  HttpResponse<InputStream> open(HttpRequest request) throws IOException {
    return await(request, BodyHandlers.ofInputStream(), request.timeout().orElseThrow());
  }

  /**
   * The timeout of a request ends with the headers, so the wait for the body has one of its own.
   */
  private <T> HttpResponse<T> await(
      HttpRequest request, HttpResponse.BodyHandler<T> handler, Duration limit) throws IOException {
    CompletableFuture<HttpResponse<T>> answer = client.sendAsync(request, handler);
    try {
      return answer.get(limit.plus(GRACE).toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      answer.cancel(true);
      throw new HttpTimeoutException("no whole answer in " + limit.toSeconds() + " s");
    } catch (InterruptedException e) {
      answer.cancel(true);
      throw Attempts.interrupted(e);
    } catch (ExecutionException e) {
      Throwables.throwIfInstanceOf(e.getCause(), IOException.class);
      throw new IOException(e.getCause());
    }
  }

  /**
   * Sends a request, follows redirections that stay on its host, as for renamed repositories, and
   * reads the whole answer.
   */
  HttpResponse<byte[]> send(HttpRequest request) throws IOException {
    HttpRequest next = request;
    for (int i = 0; i < MOST_REDIRECTS; i++) {
      HttpResponse<byte[]> response =
          await(
              next,
              BodyHandlers.limiting(BodyHandlers.ofByteArray(), LONGEST_ANSWER),
              next.timeout().orElseThrow().multipliedBy(BODY_FACTOR));
      Optional<URI> target = redirection(response);
      if (target.isEmpty() || !origin(target.get()).equals(origin(next.uri()))) {
        return response;
      }
      next = HttpRequest.newBuilder(next, (name, value) -> true).uri(target.get()).build();
    }
    throw new HubException(
        Reason.DAMAGED, settings.endpoint().getHost() + " redirects in a circle");
  }

  /** Where an answer sends to, if it does. */
  static Optional<URI> redirection(HttpResponse<?> response) throws HubException {
    int status = response.statusCode();
    Optional<String> location = response.headers().firstValue("Location");
    if (status < 301 || status > 308 || status == 304 || location.isEmpty()) {
      return Optional.empty();
    }
    URI from = response.request().uri();
    URI target;
    try {
      target = from.resolve(location.get());
    } catch (IllegalArgumentException e) {
      throw new HubException(
          Reason.DAMAGED,
          "%s redirects to '%s', which is no address"
              .formatted(from.getHost(), Text.printable(location.get())),
          e);
    }
    boolean web = "https".equals(target.getScheme()) || "http".equals(target.getScheme());
    boolean downgrade = "https".equals(from.getScheme()) && !"https".equals(target.getScheme());
    if (!web || downgrade || target.getHost() == null) {
      throw new HubException(
          Reason.DAMAGED,
          "%s redirects to '%s', which is not as safe as itself; not followed"
              .formatted(from.getHost(), Text.printable(location.get())));
    }
    return Optional.of(target);
  }

  /** Scheme, host and port, the latter also where the address leaves it out. */
  private static String origin(URI address) {
    int port = address.getPort();
    if (port < 0) {
      port = "https".equals(address.getScheme()) ? 443 : 80;
    }
    return address.getScheme() + "://" + address.getHost().toLowerCase(Locale.ROOT) + ":" + port;
  }

  /** A header without quotes and the mark of a weak tag, as the cache names its files. */
  static Optional<String> tag(HttpHeaders headers, String name) {
    return headers
        .firstValue(name)
        .map(v -> v.startsWith("W/") ? v.substring(2) : v)
        .map(v -> v.replace("\"", ""));
  }

  @Override
  public void close() {
    client.shutdownNow();
    client.close();
  }
}
