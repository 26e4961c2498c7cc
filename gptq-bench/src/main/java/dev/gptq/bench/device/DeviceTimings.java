package dev.gptq.bench.device;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSearch;
import dev.gptq.quantize.ColumnOrder;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/**
 * Times what docs/benchmarks/h100.md lists: {@code DeviceTimings [BACKEND [GROUP...]]
 * [KEY=VALUE...]}, groups being {@code layers}, {@code operations}, {@code products} and {@code
 * few-rows}, all of them by default, and settings of the backend. For backends that queue their
 * work; those of CPUs have benchmarks of their own.
 */
public final class DeviceTimings {
  private static final List<String> GROUPS =
      List.of("layers", "operations", "products", "few-rows");
  private static final double SECONDS_OF_ROUND = 0.05;

  /** Five times the largest cache of today's GPUs. */
  private static final long FOOTPRINT = 256L << 20;

  private DeviceTimings() {}

  /** Prints the measurements. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    List<String> all = Arrays.stream(arguments).filter(word -> !word.contains("=")).toList();
    ImmutableMap<String, String> settings =
        Arrays.stream(arguments)
            .filter(word -> word.contains("="))
            .map(word -> word.split("=", 2))
            .collect(ImmutableMap.toImmutableMap(pair -> pair[0], pair -> pair[1]));
    List<String> groups = all.size() > 1 ? all.subList(1, all.size()) : GROUPS;
    if (!GROUPS.containsAll(groups)) {
      throw new IllegalArgumentException("groups are " + GROUPS + ", not " + groups);
    }
    BackendOptions usual = BackendOptions.defaults();
    BackendOptions options = new BackendOptions(usual.threads(), usual.devices(), settings);
    String name = all.isEmpty() ? "cuda" : all.getFirst();
    try (Backend backend = Backends.open(name, options, _ -> {})) {
      System.out.println("# " + backend.info());
      printClocks();
      Stopwatch stopwatch = new Stopwatch(backend, System.out, SECONDS_OF_ROUND);
      if (groups.contains("layers")) {
        layers(stopwatch);
      }
      if (groups.contains("operations")) {
        operations(stopwatch);
      }
      if (groups.contains("products")) {
        products(stopwatch);
      }
      if (groups.contains("few-rows")) {
        fewRows(backend);
      }
      printClocks();
    }
  }

  private static void layers(Stopwatch stopwatch) {
    stopwatch.title("one layer, 4 bits, groups of 128");
    LayerTimings layers = new LayerTimings(stopwatch);
    layers.time(4096, 4096, GridSearch.MIN_MAX, ColumnOrder.NATURAL);
    layers.time(4096, 4096, GridSearch.MIN_MAX, ColumnOrder.ACTIVATION);
    layers.time(4096, 4096, GridSearch.MSE, ColumnOrder.NATURAL);
    layers.time(4096, 14336, GridSearch.MIN_MAX, ColumnOrder.NATURAL);
    layers.time(12288, 12288, GridSearch.MIN_MAX, ColumnOrder.NATURAL);
    layers.time(49152, 12288, GridSearch.MIN_MAX, ColumnOrder.NATURAL);
  }

  private static void operations(Stopwatch stopwatch) {
    stopwatch.title("operations");
    OperationTimings operations = new OperationTimings(stopwatch);
    operations.hessian(4096, 32_768);
    operations.hessian(11_008, 32_768);
    operations.hessian(14_336, 32_768);
    operations.forward(16, 2048, 32, 11_008);
  }

  private static void products(Stopwatch stopwatch) {
    stopwatch.title("products with packed weights, groups of 128, and the dense peer");
    MatmulTimings products = new MatmulTimings(stopwatch, FOOTPRINT);
    products.time(4096, 4096, 4, 1, 16, 64, 256, 512, 1024);
    products.time(4096, 12_288, 4, 1, 16, 512, 1024);
    products.time(4096, 22_016, 4, 1, 16, 512, 1024);
    products.time(11_008, 4096, 4, 1, 16, 512, 1024);
    products.time(8192, 28_672, 4, 1, 16, 64, 128, 256, 512, 1024);
    products.time(4096, 12_288, 3, 1, 16);
    products.time(4096, 12_288, 2, 1, 16);
    products.time(4096, 12_288, 8, 1, 16);
  }

  private static void fewRows(Backend backend) {
    System.out.println("# few rows by packed weights, groups of 128, replays of 96 products");
    FewRowTimings products = new FewRowTimings(backend, System.out, FOOTPRINT);
    products.time(4096, 4096, 1, 16);
    products.time(4096, 12_288, 1, 16);
    products.time(4096, 22_016, 1, 16);
    products.time(11_008, 4096, 1, 16);
    products.time(8192, 28_672, 1, 16);
  }

  /** What the driver's own tool says, where there is one. */
  private static void printClocks() throws IOException, InterruptedException {
    ProcessBuilder query =
        new ProcessBuilder(
                "nvidia-smi",
                "--query-gpu=name,driver_version,clocks.sm,clocks.mem,power.draw",
                "--format=csv,noheader")
            .inheritIO();
    try {
      query.start().waitFor();
    } catch (IOException e) {
      System.out.println("# no nvidia-smi: " + e.getMessage());
    }
  }
}
