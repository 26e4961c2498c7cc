package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which way requests go. */
final class ProxiesTest {
  private static final URI HUB = URI.create("https://huggingface.co/api");
  @TempDir private Path home;

  private static Proxies of(String... pairs) throws HubException {
    Map<String, String> environment = new HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      environment.put(pairs[i], pairs[i + 1]);
    }
    return Proxies.of(new Environment(environment), HUB);
  }

  private static Proxy http(String host, int port) {
    return new Proxy(Proxy.Type.HTTP, new InetSocketAddress(host, port));
  }

  @Test
  void eachSchemeHasItsProxy() throws HubException {
    Proxies proxies = of("https_proxy", "http://127.0.0.1:3128", "HTTP_PROXY", "127.0.0.2");
    assertThat(proxies.select(HUB)).containsExactly(http("127.0.0.1", 3128));
    assertThat(proxies.select(URI.create("http://a.example")))
        .containsExactly(http("127.0.0.2", 80));
    assertThat(of("ALL_PROXY", "http://127.0.0.3:1").select(HUB))
        .containsExactly(http("127.0.0.3", 1));
  }

  @Test
  void someHostsNeedNone() throws HubException {
    String[] names = {"huggingface.co", ".huggingface.co", "a.example, *.co", "*", "co"};
    for (String name : names) {
      assertThat(of("HTTPS_PROXY", "127.0.0.1:1", "NO_PROXY", name).select(HUB))
          .as(name)
          .containsExactly(Proxy.NO_PROXY);
    }
    assertThat(of("HTTPS_PROXY", "127.0.0.1:1", "NO_PROXY", "face.co,").select(HUB))
        .containsExactly(http("127.0.0.1", 1));
  }

  @Test
  void whatIsNoHttpProxyIsRefusedWithoutShowingItsPassword() {
    for (String proxy : List.of("socks5://u:geheim@h:1", "http://u:geheim@ h", "http://")) {
      assertThatThrownBy(() -> of("HTTPS_PROXY", proxy))
          .as(proxy)
          .isInstanceOf(HubException.class)
          .hasMessageContaining("HTTPS_PROXY")
          .hasMessageNotContaining("geheim");
    }
  }

  @Test
  void requestsGoThroughTheProxyWithItsPassword() throws IOException {
    List<String> seen = new CopyOnWriteArrayList<>();
    HttpServer proxy =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    proxy.createContext(
        "/",
        exchange -> {
          seen.add(
              exchange.getRequestURI()
                  + " "
                  + exchange.getRequestHeaders().getFirst("Proxy-Authorization"));
          byte[] answer = ("{\"sha\":\"" + "b".repeat(40) + "\"}").getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    proxy.start();
    HubSettings settings =
        HubSettings.of(
            Map.of(
                "HF_ENDPOINT",
                "http://hub.invalid",
                "HTTP_PROXY",
                "http://me:a%40b@127.0.0.1:" + proxy.getAddress().getPort()),
            home);
    try (Transport transport = new Transport(settings)) {
      Api api = new Api(settings, transport, Tuning.DEFAULT, TransferListener.SILENT);
      assertThat(api.commit(new Repo(RepoKind.MODEL, "a/b"), "main")).isEqualTo("b".repeat(40));
    } finally {
      proxy.stop(0);
    }
    assertThat(seen)
        .containsExactly("http://hub.invalid/api/models/a/b/revision/main Basic bWU6YUBi");
  }
}
