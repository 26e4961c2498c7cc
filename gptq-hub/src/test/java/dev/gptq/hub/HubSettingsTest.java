package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What environment variables mean. */
final class HubSettingsTest {
  @TempDir private Path home;

  private HubSettings of(String... pairs) throws IOException {
    Map<String, String> environment = new HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      environment.put(pairs[i], pairs[i + 1]);
    }
    return HubSettings.of(environment, home);
  }

  @Test
  void defaultsAreThoseOfTheHubsOwnClient() throws IOException {
    HubSettings settings = of();
    assertThat(settings.endpoint()).isEqualTo(URI.create("https://huggingface.co"));
    assertThat(settings.cache()).isEqualTo(home.resolve(".cache/huggingface/hub"));
    assertThat(settings.offline()).isFalse();
    assertThat(settings.links()).isTrue();
    assertThat(settings.token()).isEmpty();
    assertThat(settings.answerTimeout()).hasSeconds(10);
  }

  @Test
  void theCacheIsWhereItIsSaidToBe() throws IOException {
    Path a = home.resolve("a");
    assertThat(of("XDG_CACHE_HOME", a.toString()).cache()).isEqualTo(a.resolve("huggingface/hub"));
    assertThat(of("XDG_CACHE_HOME", "/x", "HF_HOME", a.toString()).cache())
        .isEqualTo(a.resolve("hub"));
    assertThat(of("HF_HOME", "/x", "HF_HUB_CACHE", a.toString()).cache()).isEqualTo(a);
    assertThat(of("HF_HOME", "/x", "HUGGINGFACE_HUB_CACHE", a.toString()).cache()).isEqualTo(a);
    assertThat(of("HF_HOME", "~/b").cache()).isEqualTo(home.resolve("b/hub"));
  }

  @Test
  void aUserWithoutAHomeSaysWhereTheCacheIs() throws IOException {
    Path none = Path.of("?");
    assertThatThrownBy(() -> HubSettings.of(Map.of(), none))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("HF_HOME");
    assertThat(HubSettings.of(Map.of("HOME", "/h"), none).cache())
        .isEqualTo(Path.of("/h/.cache/huggingface/hub"));
    assertThat(HubSettings.of(Map.of("HF_HUB_CACHE", "/c"), none).cache()).isEqualTo(Path.of("/c"));
  }

  @Test
  void theVariableComesBeforeTheFile() throws IOException {
    Path file = home.resolve("t");
    Files.writeString(file, " hf_file\n");
    assertThat(of("HF_TOKEN_PATH", file.toString()).token())
        .contains(new Token("hf_file", file.toString()));
    assertThat(of("HF_TOKEN", "hf_variable", "HF_TOKEN_PATH", file.toString()).token())
        .contains(new Token("hf_variable", "HF_TOKEN"));
    assertThat(of("HF_TOKEN", "  ").token()).isEmpty();
  }

  @Test
  void aTokenIsNeverShown() throws IOException {
    assertThat(of("HF_TOKEN", "hf_secret").token().orElseThrow().toString())
        .doesNotContain("hf_secret");
    assertThatThrownBy(() -> of("HF_TOKEN", "hf_se\ncret"))
        .hasMessageContaining("HF_TOKEN")
        .hasMessageNotContaining("cret");
  }

  @ParameterizedTest
  @CsvSource({
    "1, true",
    "yes, true",
    "True, true",
    "ON, true",
    "0, false",
    "off, false",
    "'', false"
  })
  void yesIsSaidInSeveralWays(String value, boolean expected) throws IOException {
    assertThat(of("HF_HUB_OFFLINE", value).offline()).isEqualTo(expected);
    assertThat(of("TRANSFORMERS_OFFLINE", value).offline()).isEqualTo(expected);
    assertThat(of("HF_HUB_DISABLE_SYMLINKS", value).links()).isEqualTo(!expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hub.example",
        "ftp://hub.example",
        "https://",
        "https://u:p@hub.example",
        "https://h ub"
      })
  void endpointsMustBeAddresses(String endpoint) {
    assertThatThrownBy(() -> of("HF_ENDPOINT", endpoint))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("HF_ENDPOINT");
  }

  @Test
  void endpointsMayHaveAPath() throws IOException {
    assertThat(of("HF_ENDPOINT", "https://mirror.example/hf/").address("api/x"))
        .isEqualTo(URI.create("https://mirror.example/hf/api/x"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "ten", "1.5", "99999999999"})
  void timeoutsAreSeconds(String seconds) {
    assertThatThrownBy(() -> of("HF_HUB_DOWNLOAD_TIMEOUT", seconds))
        .hasMessageContaining("HF_HUB_DOWNLOAD_TIMEOUT");
  }
}
