package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Which proxy an address is reached through: as {@code HTTPS_PROXY}, {@code HTTP_PROXY}, {@code
 * ALL_PROXY} and {@code NO_PROXY} say, else as Java's own properties say.
 */
final class Proxies extends ProxySelector {
  private final Map<String, URI> byScheme;
  private final List<String> direct;

  private Proxies(Map<String, URI> byScheme, List<String> direct) {
    this.byScheme = byScheme;
    this.direct = direct;
  }

  static Proxies of(Environment environment, URI endpoint) throws HubException {
    Map<String, URI> proxies = new HashMap<>();
    for (String scheme : List.of("https", "http")) {
      String name = scheme.toUpperCase(Locale.ROOT) + "_PROXY";
      Optional<String> value = environment.anyCase(name).or(() -> environment.anyCase("ALL_PROXY"));
      if (value.isPresent()) {
        // A proxy that cannot be used matters only where it would be.
        if (scheme.equals(endpoint.getScheme()) || usable(value.get())) {
          proxies.put(scheme, proxy(name, value.get()));
        }
      }
    }
    return new Proxies(
        Map.copyOf(proxies),
        List.of(
            environment.anyCase("NO_PROXY").orElse("").toLowerCase(Locale.ROOT).split("[,\\s]+")));
  }

  private static boolean usable(String text) {
    return !text.contains("://") || text.startsWith("http://");
  }

  private static URI proxy(String name, String text) throws HubException {
    if (usable(text)) {
      try {
        URI uri = new URI(text.contains("://") ? text : "http://" + text);
        if (uri.getHost() != null) {
          return uri;
        }
      } catch (URISyntaxException e) {
        // The address may hold a password, and so may the message of the exception.
        throw new HubException(Reason.INVALID, name + " is no address; write http://host:port");
      }
    }
    throw new HubException(
        Reason.INVALID, name + " must be the address of an HTTP proxy; write http://host:port");
  }

  /**
   * What proves to the proxy of an address who asks. The client of the JDK sends it to that proxy
   * only; its authenticators would also want a say in what the hub answers.
   */
  Optional<String> authorization(URI address) {
    URI proxy = byScheme.get(address.getScheme());
    if (proxy == null || proxy.getRawUserInfo() == null) {
      return Optional.empty();
    }
    byte[] user = decoded(proxy.getRawUserInfo()).getBytes(StandardCharsets.UTF_8);
    return Optional.of("Basic " + Base64.getEncoder().encodeToString(user));
  }

  private static String decoded(String part) {
    return URLDecoder.decode(part.replace("+", "%2B"), StandardCharsets.UTF_8);
  }

  @Override
  public List<Proxy> select(URI uri) {
    URI proxy = byScheme.get(uri.getScheme());
    if (proxy == null && byScheme.isEmpty()) {
      return ProxySelector.getDefault().select(uri);
    }
    if (proxy == null || isDirect(uri.getHost().toLowerCase(Locale.ROOT))) {
      return List.of(Proxy.NO_PROXY);
    }
    int port = proxy.getPort() < 0 ? 80 : proxy.getPort();
    return List.of(new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.getHost(), port)));
  }

  private boolean isDirect(String host) {
    return direct.stream()
        .map(name -> name.replaceFirst("^\\*?\\.", ""))
        .filter(name -> !name.isEmpty())
        .anyMatch(name -> name.equals("*") || host.equals(name) || host.endsWith("." + name));
  }

  /** There is no second proxy to try; the request itself fails and is reported. */
  @Override
  public void connectFailed(URI uri, SocketAddress address, IOException failure) {}
}
