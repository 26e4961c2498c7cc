package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Where the hub is, where the cache is, and who asks, as the variables say that all programs of the
 * hub read: {@code HF_ENDPOINT}, {@code HF_HOME}, {@code HF_HUB_CACHE}, {@code HF_TOKEN}, {@code
 * HF_TOKEN_PATH}, {@code HF_HUB_OFFLINE}, {@code HF_HUB_DISABLE_SYMLINKS}, {@code
 * HF_HUB_ETAG_TIMEOUT}, {@code HF_HUB_DOWNLOAD_TIMEOUT}, and {@code HTTPS_PROXY}, {@code
 * HTTP_PROXY}, {@code ALL_PROXY}, {@code NO_PROXY}.
 */
public final class HubSettings {
  private static final String DEFAULT_ENDPOINT = "https://huggingface.co";

  private final URI endpoint;
  private final Path cache;
  private final Optional<Token> token;
  private final boolean offline;
  private final boolean links;
  private final Duration answerTimeout;
  private final Duration stallTimeout;
  private final Proxies proxies;

  /** Any of them says where the cache is. */
  private static final ImmutableList<String> CACHES =
      ImmutableList.of("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME");

  private HubSettings(Environment environment, Path home) throws IOException {
    endpoint = endpoint(environment.get("HF_ENDPOINT").orElse(DEFAULT_ENDPOINT));
    Optional<Path> xdg = environment.path("XDG_CACHE_HOME", home);
    Path base =
        environment
            .path("HF_HOME", home)
            .orElse(xdg.orElse(home.resolve(".cache")).resolve("huggingface"));
    Optional<Path> legacy = environment.path("HUGGINGFACE_HUB_CACHE", home);
    cache = environment.path("HF_HUB_CACHE", home).or(() -> legacy).orElse(base.resolve("hub"));
    token =
        Token.find(
            environment, environment.path("HF_TOKEN_PATH", home).orElse(base.resolve("token")));
    offline =
        environment.get("HF_HUB_OFFLINE").isPresent()
            ? environment.on("HF_HUB_OFFLINE")
            : environment.on("TRANSFORMERS_OFFLINE");
    links = !environment.on("HF_HUB_DISABLE_SYMLINKS");
    answerTimeout = environment.seconds("HF_HUB_ETAG_TIMEOUT", 10);
    stallTimeout = environment.seconds("HF_HUB_DOWNLOAD_TIMEOUT", 10);
    proxies = Proxies.of(environment, endpoint);
  }

  /** The settings that the environment of this process gives. */
  public static HubSettings fromEnvironment() throws IOException {
    return of(System.getenv(), Path.of(System.getProperty("user.home")));
  }

  /**
   * The settings that these variables give to a user with this home folder. One that is not
   * absolute is none, as Java calls that of a user whom the system does not know {@code ?}; then
   * {@code HOME} or a folder of the hub's must be set.
   */
  public static HubSettings of(Map<String, String> variables, Path known) throws IOException {
    Environment environment = new Environment(variables);
    return new HubSettings(environment, known.isAbsolute() ? known : home(environment));
  }

  private static Path home(Environment environment) throws HubException {
    Optional<Path> named = environment.path("HOME", Path.of("/"));
    if (named.isEmpty() && CACHES.stream().allMatch(name -> environment.get(name).isEmpty())) {
      throw new HubException(
          Reason.INVALID, "this user has no home folder for the hub's cache; set HF_HOME to one");
    }
    return named.orElse(Path.of("/"));
  }

  private static URI endpoint(String text) throws HubException {
    try {
      URI uri = new URI(text.replaceFirst("/+$", ""));
      boolean web = "https".equals(uri.getScheme()) || "http".equals(uri.getScheme());
      if (web && uri.getHost() != null && uri.getUserInfo() == null && uri.getQuery() == null) {
        return uri;
      }
    } catch (URISyntaxException e) {
      throw notAnEndpoint(text, e);
    }
    throw notAnEndpoint(text, null);
  }

  private static HubException notAnEndpoint(String text, Exception cause) {
    return new HubException(
        Reason.INVALID,
        "HF_ENDPOINT must be an address such as %s but is '%s'"
            .formatted(DEFAULT_ENDPOINT, Text.printable(text)),
        cause);
  }

  /** Where the hub is. */
  public URI endpoint() {
    return endpoint;
  }

  /** The folder of the cache. */
  public Path cache() {
    return cache;
  }

  /** Whether only the cache may be used. */
  public boolean offline() {
    return offline;
  }

  /** Whether requests name a user. */
  public boolean hasToken() {
    return token.isPresent();
  }

  Optional<Token> token() {
    return token;
  }

  /** Whether snapshots may hold symbolic links. */
  boolean links() {
    return links;
  }

  /** How long an answer may take to begin. */
  Duration answerTimeout() {
    return answerTimeout;
  }

  /** How long a body may stand still. */
  Duration stallTimeout() {
    return stallTimeout;
  }

  Proxies proxies() {
    return proxies;
  }

  /** The address of a path under the endpoint; the path is encoded already. */
  URI address(String path) {
    return URI.create(endpoint + "/" + path);
  }
}
