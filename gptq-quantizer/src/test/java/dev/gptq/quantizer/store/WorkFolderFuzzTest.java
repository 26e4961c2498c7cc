package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.PlacedTensor;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Files of kept work, changed at random: what is damaged is told and done again, and never used.
 * {@code -Dgptq.test.fuzz=1000000} tries more of them.
 */
final class WorkFolderFuzzTest {
  private static final long INPUTS = Math.max(100, Long.getLong("gptq.test.fuzz", 0));

  private static final QuantizedModule MODULE =
      new QuantizedModule(
          new PackedMatrix(
              Scheme.ASYMMETRIC,
              4,
              2,
              8,
              1,
              MemorySegment.ofArray(new int[2 * BitStream.words(8, 4)]),
              MemorySegment.ofArray(new float[] {1, 2}),
              Optional.of(MemorySegment.ofArray(new float[] {3, 4})),
              Optional.empty()),
          new ModuleReport(0, "q", "q", 2, 8, 4, 8, false, 1, 1, 1, 1, 0.01, 9, "", 1));

  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();

  private WorkFolder open(String run) throws IOException {
    return WorkFolder.open(folder.resolve("out"), key(run), module -> Optional.empty(), notes::add);
  }

  private static RunKey key(String run) {
    return RunKey.builder().add("run", run).build();
  }

  private Map<Path, byte[]> files() throws IOException {
    Map<Path, byte[]> files = new TreeMap<>();
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path file : (Iterable<Path>) all.filter(Files::isRegularFile)::iterator) {
        files.put(file, Files.readAllBytes(file));
      }
    }
    return files;
  }

  @Test
  void changedFilesAreToldAndNotUsed() throws IOException {
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults());
        DeviceGroup devices = new DeviceGroup(backend);
        TensorScope scope = backend.newScope()) {
      PlacedTensor state = new PlacedTensor(devices, 0, scope.filled(0.5f, 3, 5));
      try (WorkFolder work = open("this")) {
        work.put(0, ImmutableMap.of("q", MODULE));
        // Every look at the clock is an hour later, which is worth keeping states for.
        AtomicLong hours = new AtomicLong();
        new StateFolder(
                work.folder(),
                StateFolder.Kind.STATES,
                key("this").text(),
                true,
                notes::add,
                () -> Duration.ofHours(hours.incrementAndGet()).toNanos())
            .put(1, ImmutableList.of(state), () -> {});
      }
      Map<Path, byte[]> whole = files();
      assertThat(whole.keySet().stream().map(file -> file.getFileName().toString()))
          .contains("manifest.jsonl", "weights.bin", "key.json", "states-00001");
      List<Path> names = List.copyOf(whole.keySet());
      for (long number = 0; number < INPUTS; number++) {
        SplittableRandom random = new SplittableRandom(number);
        for (Map.Entry<Path, byte[]> file : whole.entrySet()) {
          Files.createDirectories(file.getKey().getParent());
          Files.write(file.getKey(), file.getValue());
        }
        Path chosen = names.get(random.nextInt(names.size()));
        byte[] changed = change(whole.get(chosen), random);
        Files.write(chosen, changed);
        notes.clear();
        boolean same = Arrays.equals(changed, whole.get(chosen));
        check(devices, chosen, same, "input %d, %s".formatted(number, chosen.getFileName()));
        MoreFiles.deleteDirectoryContents(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    }
  }

  private void check(DeviceGroup devices, Path chosen, boolean same, String what)
      throws IOException {
    try (TensorScope scope = devices.first().newScope()) {
      // A run of other settings looks at what this one left, and leaves it alone.
      open("another").close();
      assertThat(notes).as(what).hasSize(1);
      notes.clear();
      try (WorkFolder work = open("this")) {
        boolean found = work.finished() == 1;
        boolean ofBlock = chosen.getParent().getFileName().toString().startsWith("block");
        // Bytes between parts belong to none of them.
        boolean mayBeFound = !ofBlock || same || chosen.endsWith(BlockFiles.DATA);
        assertThat(found).as(what).isIn(mayBeFound, !ofBlock || same);
        if (found) {
          PackedMatrix packed = work.find(0).orElseThrow().get("q").packed();
          assertThat(packed.words().mismatch(MODULE.packed().words())).as(what).isEqualTo(-1);
          assertThat(packed.zeros().orElseThrow().mismatch(MODULE.packed().zeros().orElseThrow()))
              .as(what)
              .isEqualTo(-1);
          assertThat(packed.scales().mismatch(MODULE.packed().scales())).as(what).isEqualTo(-1);
        }
        assertThat(notes).as(what).hasSize(found ? 0 : 1);
        notes.clear();
        Tensor loaded = scope.columnMajor(DType.F32, 3, 5);
        boolean ofStates = chosen.getFileName().toString().startsWith("states");
        boolean usable =
            work.states(true, notes::add).load(1, List.of(new PlacedTensor(devices, 0, loaded)));
        assertThat(usable).as(what).isEqualTo(!ofStates || same);
        if (usable) {
          assertThat(HostCopies.floats(loaded)).as(what).containsOnly(0.5f);
        }
        assertThat(notes).as(what).hasSize(usable ? 0 : 1);
      }
    }
  }

  private static byte[] change(byte[] content, SplittableRandom random) {
    byte[] bytes = content.clone();
    int at = random.nextInt(bytes.length);
    int to = at + 1 + random.nextInt(Math.min(64, bytes.length - at));
    return switch (random.nextInt(6)) {
      case 0 -> {
        bytes[at] ^= (byte) (1 << random.nextInt(8));
        yield bytes;
      }
      case 1 -> {
        Arrays.fill(bytes, at, to, (byte) random.nextInt());
        yield bytes;
      }
      case 2 -> Arrays.copyOf(bytes, at);
      case 3 -> Arrays.copyOf(bytes, bytes.length + at);
      case 4 -> new byte[0];
      default -> {
        byte[] shorter = Arrays.copyOf(bytes, bytes.length - (to - at));
        System.arraycopy(content, to, shorter, at, content.length - to);
        yield shorter;
      }
    };
  }
}
