package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.quantizer.pipeline.PlacedTensor;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class StateFolderTest {
  private static final long SECOND = 1_000_000_000;

  @TempDir private Path root;
  private final List<String> notes = new ArrayList<>();
  private final List<String> order = new ArrayList<>();
  private long now;
  private Path folder;
  private Backend backend;
  private DeviceGroup devices;
  private TensorScope scope;

  @BeforeEach
  void open() {
    folder = root.resolve("work");
    backend = new ReferenceBackendProvider().open(BackendOptions.defaults());
    devices = new DeviceGroup(backend);
    scope = backend.newScope();
  }

  @AfterEach
  void close() {
    scope.close();
    devices.close();
    backend.close();
  }

  private StateFolder states(String key) {
    return new StateFolder(folder, StateFolder.Kind.STATES, key, true, notes::add, () -> now);
  }

  /** The second is larger than a piece of a file, and no whole number of them. */
  private ImmutableList<PlacedTensor> tensors(long seed) {
    return ImmutableList.of(tensor(7, 3, seed), tensor(4099, 1100, seed + 1), tensor(1, 1, seed));
  }

  private PlacedTensor tensor(int rows, int columns, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return new PlacedTensor(
        devices,
        0,
        scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR));
  }

  private static float[] values(PlacedTensor state) {
    return HostCopies.floats(state.tensor());
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private StateFolder put(int block, long seed) {
    StateFolder states = states("key");
    now += 60 * SECOND;
    states.put(block, tensors(seed), () -> {});
    return states;
  }

  @Test
  void theNewestComeBackWithAllBits() throws IOException {
    put(3, 1);
    put(5, 9);
    assertThat(files()).containsExactly("states-00005");
    StateFolder states = states("key");
    assertThat(states.newest(4)).isEmpty();
    assertThat(states.newest(5)).hasValue(5);
    assertThat(states.newest(31)).hasValue(5);
    ImmutableList<PlacedTensor> loaded = tensors(2);
    assertThat(states.load(5, loaded)).isTrue();
    ImmutableList<PlacedTensor> expected = tensors(9);
    for (int i = 0; i < expected.size(); i++) {
      assertThat(values(loaded.get(i))).isEqualTo(values(expected.get(i)));
    }
    assertThat(notes).isEmpty();
    states.delete();
    assertThat(files()).isEmpty();
  }

  @Test
  void whatTheBackwardPassFoundIsKeptBesideTheStatesWhereThereIsRoom() throws IOException {
    StateFolder states = states("key");
    assertThat(states.loadCurvature(tensors(2))).isFalse();
    now += 60 * SECOND;
    states.putCurvature(tensors(4));
    now += 60 * SECOND;
    states.put(3, tensors(1), () -> {});
    assertThat(files()).containsExactly("curvature", "states-00003");
    assertThat(states.newest(9)).hasValue(3);
    ImmutableList<PlacedTensor> loaded = tensors(2);
    assertThat(states("key").loadCurvature(loaded)).isTrue();
    assertThat(values(loaded.get(1))).isEqualTo(values(tensors(4).get(1)));
    assertThat(notes).isEmpty();
    assertThat(states("another").loadCurvature(loaded)).isFalse();
    flip(folder.resolve("curvature"), 1000);
    assertThat(states("key").loadCurvature(loaded)).isFalse();
    assertThat(notes)
        .hasSize(2)
        .allSatisfy(note -> assertThat(note).contains("the backward pass runs again"));
    states.delete();
    assertThat(files()).isEmpty();
    StateFolder narrow =
        new StateFolder(folder, StateFolder.Kind.STATES, "key", false, notes::add, () -> now);
    now += 60 * SECOND;
    narrow.putCurvature(tensors(4));
    assertThat(files()).isEmpty();
  }

  /** An interruption between the two would leave states without the blocks before them. */
  @Test
  void theyAppearOnceTheBlocksBeforeThemAreKept() throws IOException {
    StateFolder states = states("key");
    now += 60 * SECOND;
    states.put(
        2,
        tensors(1),
        () -> {
          order.add("blocks kept");
          assertThat(folder.resolve("states-00002")).doesNotExist();
        });
    assertThat(order).containsExactly("blocks kept");
    assertThat(files()).containsExactly("states-00002");
  }

  @Test
  void writingTakesASmallPartOfTheTime() throws IOException {
    StateFolder states = states("key");
    // 18 MB at the rate that is assumed at first, and a file.
    double seconds = 18_037_000 / 5e8 + 1e-3;
    now += (long) (0.9 * seconds / StateFolder.SHARE * SECOND);
    states.put(1, tensors(1), () -> {});
    assertThat(folder).doesNotExist();
    now += (long) (0.2 * seconds / StateFolder.SHARE * SECOND);
    states.put(2, tensors(1), () -> now += 10 * SECOND);
    assertThat(files()).containsExactly("states-00002");
    // It took ten seconds.
    now += (long) (9.5 / StateFolder.SHARE * SECOND);
    states.put(3, tensors(1), () -> {});
    assertThat(files()).containsExactly("states-00002");
    now += (long) (0.6 / StateFolder.SHARE * SECOND);
    states.put(4, tensors(1), () -> {});
    assertThat(files()).containsExactly("states-00004");
  }

  @Test
  void whatIsDamagedIsSaidAndNotUsed() throws IOException {
    put(5, 1);
    Path file = folder.resolve("states-00005");
    long size = Files.size(file);
    for (long at : new long[] {0, 31, 32, 32 + 84 + 8 + (17L << 20), size - 9, size - 1}) {
      flip(file, at);
      notes.clear();
      assertThat(states("key").load(5, tensors(2))).as("byte %s", at).isFalse();
      assertThat(notes)
          .singleElement()
          .asString()
          .contains("blocks 0 to 4 run again", file.toString());
      flip(file, at);
    }
    assertThat(states("key").load(5, tensors(2))).isTrue();
    assertThat(states("another").load(5, tensors(2))).isFalse();
    assertThat(states("key").load(5, tensors(2).reverse())).isFalse();
    try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
      cut.setLength(size - 1);
    }
    assertThat(states("key").load(5, tensors(2))).isFalse();
    assertThat(notes.getLast()).contains("should have " + size);
  }

  private static void flip(Path file, long at) throws IOException {
    try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
      disk.seek(at);
      int old = disk.read();
      disk.seek(at);
      disk.write(old ^ 4);
    }
  }

  @Test
  void aFullDiskEndsKeepingAndNotTheRun() throws IOException {
    put(1, 5);
    Files.createDirectories(folder.resolve("states-00002").resolve("in the way"));
    StateFolder states = put(2, 1);
    assertThat(notes).singleElement().asString().contains("hidden states are not kept any more");
    now += 60 * SECOND;
    states.put(3, tensors(1), () -> {});
    assertThat(notes).hasSize(1);
    assertThat(files()).containsExactly("states-00001", "states-00002");
    assertThat(states.load(1, tensors(2))).isTrue();
  }
}
