package dev.gptq.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backends.Discovered;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Selection of a backend, with services of this test's own. */
final class BackendsTest {
  private static final BackendOptions OPTIONS = BackendOptions.defaults();

  @TempDir private Path folder;
  private final ClassLoader original = Thread.currentThread().getContextClassLoader();

  @AfterEach
  void restore() {
    Thread.currentThread().setContextClassLoader(original);
  }

  /** A backend that would be the best, were its device there. */
  public static final class MissingDevice implements BackendProvider {
    @Override
    public String name() {
      return "missing";
    }

    @Override
    public Availability probe(BackendOptions options) {
      return new Availability.Unavailable("no device was found", "Plug one in.");
    }

    @Override
    public Backend open(BackendOptions options) {
      throw new AssertionError("an unavailable backend was opened");
    }
  }

  /** The reference backend under another name and a higher rank. */
  public static final class Fast implements BackendProvider {
    @Override
    public String name() {
      return "fast";
    }

    @Override
    public Availability probe(BackendOptions options) {
      return new Availability.Available(50, "test", ImmutableMap.of());
    }

    @Override
    public Backend open(BackendOptions options) {
      return new ReferenceBackendProvider().open(options);
    }
  }

  /** A backend that can run by its probe, but does not open. */
  public static final class Occupied implements BackendProvider {
    @Override
    public String name() {
      return "occupied";
    }

    @Override
    public ImmutableList<BackendSetting> settings() {
      return ImmutableList.of(
          BackendSetting.oneOf("occupied.mode", "slow", "slower"),
          BackendSetting.positive("occupied.lanes"));
    }

    @Override
    public Availability probe(BackendOptions options) {
      return new Availability.Available(100, "test", ImmutableMap.of());
    }

    @Override
    public Backend open(BackendOptions options) {
      throw new BackendUnavailableException(
          name(), new Availability.Unavailable("another process holds it", "End that."));
    }
  }

  /** A provider whose constructor fails, as one does that links a missing class. */
  public static final class Failing implements BackendProvider {
    public Failing() {
      throw new NoClassDefFoundError("some/absent/Vector");
    }

    @Override
    public String name() {
      return "failing";
    }

    @Override
    public Availability probe(BackendOptions options) {
      throw new AssertionError();
    }

    @Override
    public Backend open(BackendOptions options) {
      throw new AssertionError();
    }
  }

  private void services(String... names) throws IOException {
    Path file = folder.resolve("META-INF/services/" + BackendProvider.class.getName());
    Files.createDirectories(file.getParent());
    Files.write(file, List.of(names));
    ClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()}, original);
    Thread.currentThread().setContextClassLoader(loader);
  }

  private static List<String> names() {
    return Backends.discover(OPTIONS).stream().map(Discovered::name).toList();
  }

  @Test
  void referenceBackendIsAlwaysThere() {
    assertThat(names()).contains("reference");
    try (Backend backend = Backends.open("reference", OPTIONS, refusal -> {})) {
      assertThat(backend.info().name()).isEqualTo("reference");
      assertThat(backend).isInstanceOf(CheckedBackend.class);
    }
  }

  @Test
  void autoTakesTheHighestRankAndReportsBetterOnes() throws IOException {
    services(MissingDevice.class.getName(), Fast.class.getName());
    List<Discovered> refusals = new ArrayList<>();
    try (Backend backend = Backends.open(Backends.AUTO, OPTIONS, refusals::add)) {
      assertThat(backend).isInstanceOf(CheckedBackend.class);
    }
    assertThat(refusals).extracting(Discovered::name).containsExactly("missing");
    assertThat(names()).containsExactly("missing", "fast", "reference");
  }

  @Test
  void autoTakesTheNextWhereTheBestDoesNotOpen() throws IOException {
    services(Occupied.class.getName(), Fast.class.getName());
    List<Discovered> refusals = new ArrayList<>();
    try (Backend backend = Backends.open(Backends.AUTO, OPTIONS, refusals::add)) {
      assertThat(backend.info().name()).isEqualTo("reference");
    }
    assertThat(refusals)
        .singleElement()
        .satisfies(refused -> {
          assertThat(refused.name()).isEqualTo("occupied");
          assertThat(refused.availability().toString()).contains("another process holds it");
        });
    assertThatThrownBy(() -> Backends.open("occupied", OPTIONS, refused -> {}))
        .isInstanceOf(BackendUnavailableException.class)
        .hasMessageContaining("another process holds it");
  }

  @Test
  void settingsThatNobodyUnderstandsAreRefused() throws IOException {
    services(Occupied.class.getName());
    assertThatThrownBy(() -> open(Backends.AUTO, "occupied.mood", "slow"))
        .isInstanceOf(BackendSettingException.class)
        .hasMessage(
            "no backend has the option 'occupied.mood'; there are: occupied.lanes,"
                + " occupied.mode");
    assertThatThrownBy(() -> open(Backends.AUTO, "occupied.mode", "fast"))
        .isInstanceOf(BackendSettingException.class)
        .hasMessage("occupied.mode must be one of slow, slower but is 'fast'");
    for (String lanes : List.of("0", "-1", "many", "")) {
      assertThatThrownBy(() -> open(Backends.AUTO, "occupied.lanes", lanes))
          .isInstanceOf(BackendSettingException.class)
          .hasMessage("occupied.lanes must be a positive number but is '" + lanes + "'");
    }
    assertThatThrownBy(() -> open("reference", "occupied.mode", "slow"))
        .isInstanceOf(BackendSettingException.class)
        .hasMessage("occupied.mode is an option of backend occupied, not of reference");
    open(Backends.AUTO, "occupied.mode", "slow");
  }

  private static void open(String name, String key, String value) {
    Backends.open(name, new BackendOptions(1, 0, ImmutableMap.of(key, value)), refused -> {})
        .close();
  }

  @Test
  void explicitNameIsNeverReplaced() throws IOException {
    services(MissingDevice.class.getName());
    assertThatThrownBy(() -> Backends.open("missing", OPTIONS, refusal -> {}))
        .isInstanceOf(BackendUnavailableException.class)
        .hasMessage("backend 'missing' is unavailable: no device was found. Plug one in.");
  }

  @Test
  void unknownNameListsTheKnownOnes() throws IOException {
    services(Fast.class.getName());
    assertThatThrownBy(() -> Backends.open("cuda", OPTIONS, refusal -> {}))
        .isInstanceOf(BackendUnavailableException.class)
        .hasMessageContaining("no backend 'cuda' on the class path; found: fast, reference")
        .hasMessageContaining("gptq-cuda-*.jar");
  }

  /** A class that is absent, one that is no provider, and one that fails: the rest still counts. */
  @Test
  void brokenProvidersAreListedAndSkipped() throws IOException {
    services(
        "dev.gptq.absent.Provider",
        BackendsTest.class.getName(),
        Failing.class.getName(),
        Fast.class.getName());
    List<Discovered> refusals = new ArrayList<>();
    try (Backend backend = Backends.open(Backends.AUTO, OPTIONS, refusals::add)) {
      assertThat(backend.info().name()).isEqualTo("reference");
    }
    assertThat(refusals).hasSize(3).extracting(Discovered::name).containsOnly("broken provider");
    assertThat(refusals.getFirst().availability().toString()).contains("dev.gptq.absent.Provider");
    assertThat(refusals.getLast().availability().toString()).contains("some/absent/Vector");
    assertThat(names()).contains("fast", "reference");
  }

  @Test
  void optionsAreChecked() {
    assertThatThrownBy(() -> OPTIONS.withThreads(0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("threads must be positive but is 0");
    assertThatThrownBy(() -> new BackendOptions(1, -1, ImmutableMap.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new BackendOptions(1, ImmutableList.of(2, 2), ImmutableMap.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("a device is named twice: [2, 2]");
    assertThat(new BackendOptions(1, ImmutableList.of(2, 0), ImmutableMap.of()).device())
        .isEqualTo(2);
    assertThat(OPTIONS.withThreads(3).threads()).isEqualTo(3);
  }
}
