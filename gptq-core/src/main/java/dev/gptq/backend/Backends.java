package dev.gptq.backend;

import com.google.common.collect.ImmutableList;
import dev.gptq.tensor.OutOfMemoryException;
import java.util.Comparator;
import java.util.Iterator;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** Finds the backends on the class path and opens one. */
public final class Backends {
  /** The name that means: the available backend of the highest rank. */
  public static final String AUTO = "auto";

  private static final Availability NOT_ASKED =
      new Availability.Unavailable("nobody asked", "Name it with --backend.");

  /**
   * A backend that was found, whether or not it can run.
   *
   * @param name name of its provider, or of the provider class if that failed to load
   * @param availability what its probe said
   */
  public record Discovered(String name, Availability availability) {}

  private record Found(Discovered discovered, BackendProvider provider) {}

  private Backends() {}

  /** All backends on the class path, the most preferred first, broken providers included. */
  public static ImmutableList<Discovered> discover(BackendOptions options) {
    return find(AUTO, options).stream()
        .map(Found::discovered)
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Opens a backend. An explicit name that is missing or cannot run is an error; {@code auto} takes
   * the best that can run and opens, and tells {@code refusals} about each better one that does
   * not.
   *
   * @throws BackendUnavailableException with the reason and the remedy
   * @throws BackendSettingException if the options have a setting that no backend understands, or
   *     that another than the named one does, or a value that it cannot take
   */
  public static Backend open(String name, BackendOptions options, Consumer<Discovered> refusals) {
    ImmutableList<Found> found = find(name, options);
    checkSettings(name, options, found);
    for (Found f : found) {
      boolean available = f.discovered().availability() instanceof Availability.Available;
      if (name.equals(AUTO) && !available) {
        refusals.accept(f.discovered());
      } else if (name.equals(AUTO) || name.equals(f.discovered().name())) {
        if (f.discovered().availability() instanceof Availability.Unavailable why) {
          throw new BackendUnavailableException(name, why);
        }
        try {
          return new CheckedBackend(f.provider().open(options));
        } catch (BackendUnavailableException | OutOfMemoryException e) {
          boolean last = f.equals(found.getLast());
          if (!name.equals(AUTO) || last) {
            throw e;
          }
          refusals.accept(
              new Discovered(
                  f.discovered().name(),
                  new Availability.Unavailable(
                      "it did not open: " + e.getMessage(),
                      "Name it with --backend to insist on it.")));
        }
      }
    }
    throw new BackendUnavailableException(
        "no backend '"
            + name
            + "' on the class path; found: "
            + found.stream()
                .map(f -> f.discovered().name())
                .sorted()
                .collect(Collectors.joining(", "))
            + ". Put its jar (gptq-"
            + name
            + "-*.jar) into the lib folder");
  }

  private static void checkSettings(
      String name, BackendOptions options, ImmutableList<Found> found) {
    Map<String, BackendSetting> known = new TreeMap<>();
    Map<String, String> owners = new TreeMap<>();
    for (Found f : found) {
      if (f.provider() != null) {
        for (BackendSetting setting : f.provider().settings()) {
          known.put(setting.name(), setting);
          owners.put(setting.name(), f.provider().name());
        }
      }
    }
    options
        .settings()
        .forEach((key, value) -> {
          BackendSetting setting = known.get(key);
          if (setting == null) {
            throw new BackendSettingException(
                "no backend has the option '"
                    + key
                    + "'; there are: "
                    + String.join(", ", known.keySet()));
          }
          if (!setting.accepts().test(value)) {
            throw new BackendSettingException(
                key + " must be " + setting.values() + " but is '" + value + "'");
          }
          if (!name.equals(AUTO) && !name.equals(owners.get(key))) {
            throw new BackendSettingException(
                key + " is an option of backend " + owners.get(key) + ", not of " + name);
          }
        });
  }

  /** All backends. Of those that are not wanted nobody asks whether they can run. */
  private static ImmutableList<Found> find(String wanted, BackendOptions options) {
    ImmutableList.Builder<Found> found = ImmutableList.builder();
    Iterator<ServiceLoader.Provider<BackendProvider>> providers =
        ServiceLoader.load(BackendProvider.class).stream().iterator();
    while (true) {
      // A broken entry throws from hasNext or next; the entries after it are still good.
      try {
        BackendProvider provider = providers.next().get();
        boolean asked = wanted.equals(AUTO) || wanted.equals(provider.name());
        Availability availability = asked ? provider.probe(options) : NOT_ASKED;
        found.add(new Found(new Discovered(provider.name(), availability), provider));
      } catch (NoSuchElementException end) {
        break;
      } catch (ServiceConfigurationError e) {
        found.add(
            new Found(
                new Discovered(
                    "broken provider",
                    new Availability.Unavailable(
                        "its provider failed to load: " + describe(e),
                        "Replace its jar, or remove it from the lib folder.")),
                null));
      }
    }
    return ImmutableList.sortedCopyOf(
        Comparator.comparingInt((Found f) -> rank(f.discovered().availability())).reversed(),
        found.build());
  }

  /** The message, and the failure behind it, such as the class that a provider misses. */
  private static String describe(ServiceConfigurationError e) {
    return e.getCause() == null ? e.getMessage() : e.getMessage() + " (" + e.getCause() + ")";
  }

  private static int rank(Availability availability) {
    // Those that cannot run come first, so that auto reports what it would have preferred.
    return availability instanceof Availability.Available a ? a.rank() : Integer.MAX_VALUE;
  }
}
