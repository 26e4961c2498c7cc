package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.UsageException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import picocli.CommandLine.Option;

/** The options that choose a backend. */
public final class BackendOption {
  /** No machine has more processors, and thousands of threads could end others' programs. */
  private static final int MOST_THREADS = 1024;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      description =
          "auto, reference, simd or cuda (default: property gptq.backend, then variable"
              + " GPTQ_BACKEND, then auto: the fastest that can run)")
  private String name;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "worker threads of a CPU backend (default: all processors)")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = {"--devices", "--device"},
      paramLabel = "N",
      split = ",",
      description =
          "indices of the GPUs, as 0,1: quantizing uses all of them and the rest the first"
              + " (default: all of the first one's model)")
  private List<Integer> devices = new ArrayList<>();

  @Option(
      names = "--backend-option",
      paramLabel = "KEY=VALUE",
      description = "an option of a single backend, such as cuda.home=/opt/cuda; repeatable")
  private Map<String, String> settings = new TreeMap<>();

  public BackendOptions options() {
    if (threads < 1 || threads > MOST_THREADS) {
      throw new UsageException("--threads must be 1 to " + MOST_THREADS + " but is " + threads);
    }
    for (int device : devices) {
      if (device < 0) {
        throw new UsageException("--devices must not be negative but has " + device);
      }
    }
    if (ImmutableSet.copyOf(devices).size() < devices.size()) {
      throw new UsageException("--devices names a GPU twice: " + devices);
    }
    return new BackendOptions(
        threads, ImmutableList.copyOf(devices), ImmutableMap.copyOf(settings));
  }

  public Backend open(Console console) {
    return open(console::note);
  }

  /** Opens it to continue text: a CPU backend then reads prompts as it reads what follows. */
  public Backend openToGenerate(Console console) {
    return open(options().with(BackendOptions.Purpose.GENERATE), console::note);
  }

  /** Opens it, and says to others than the console which it is and why others were not taken. */
  public Backend open(Consumer<String> notes) {
    return open(options(), notes);
  }

  private Backend open(BackendOptions options, Consumer<String> notes) {
    Backend backend =
        Backends.open(
            name(),
            options,
            refused -> {
              if (refused.availability() instanceof Availability.Unavailable why) {
                notes.accept("backend " + refused.name() + " not used: " + why.reason());
              }
            });
    notes.accept(
        "backend "
            + backend.info().name()
            + ": "
            + backend.info().device()
            + (backend.devices() > 1 ? ", " + backend.devices() + " GPUs" : ""));
    return backend;
  }

  private String name() {
    if (name != null) {
      return name;
    }
    String property = System.getProperty("gptq.backend");
    if (property != null) {
      return property;
    }
    return System.getenv().getOrDefault("GPTQ_BACKEND", Backends.AUTO);
  }
}
