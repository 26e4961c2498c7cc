package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.BlockSink;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class WorkFolderTest {
  private static final int ROWS = 8;
  private static final int COLUMNS = 32;

  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();

  private WorkFolder work() throws IOException {
    return work("key");
  }

  private WorkFolder work(String key) throws IOException {
    return WorkFolder.open(folder.resolve("out"), key(key), this::bias, notes::add);
  }

  private static RunKey key(String run) {
    return RunKey.builder().add("run", run).build();
  }

  private Optional<StoredTensor> bias(String module) {
    return module.endsWith("q")
        ? Optional.of(
            new StoredTensor(
                module + ".bias",
                StoredType.BF16,
                ImmutableList.of((long) ROWS),
                folder,
                MemorySegment.ofArray(new short[] {1, 2, 3, 4, 5, 6, 7, 8})))
        : Optional.empty();
  }

  /** A matrix of random parts; every second one has zero points and scattered groups. */
  private static QuantizedModule module(String name, int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    boolean full = seed % 2 == 0;
    int groups = 4;
    PackedMatrix packed =
        new PackedMatrix(
            full ? Scheme.ASYMMETRIC : Scheme.SYMMETRIC,
            3,
            ROWS,
            COLUMNS,
            groups,
            MemorySegment.ofArray(random.ints((long) ROWS * BitStream.words(COLUMNS, 3)).toArray()),
            floats(random, groups * ROWS),
            full ? Optional.of(floats(random, groups * ROWS)) : Optional.empty(),
            full ? Optional.of(random.ints(COLUMNS, 0, groups).toArray()) : Optional.empty());
    return new QuantizedModule(
        packed,
        new ModuleReport(
            0, name, name, ROWS, COLUMNS, 3, 8, !full, 0.5, 0.25, Double.NaN, 1, 0.01, 77, "", 2));
  }

  private static MemorySegment floats(SplittableRandom random, int count) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = (float) random.nextDouble();
    }
    return MemorySegment.ofArray(floats);
  }

  private static ImmutableMap<String, QuantizedModule> block(int index) {
    return ImmutableMap.of("q", module("q", 2 * index), "o", module("o", 2 * index + 1));
  }

  private static void assertSame(QuantizedModule actual, QuantizedModule expected) {
    PackedMatrix a = actual.packed();
    PackedMatrix e = expected.packed();
    assertThat(actual.report()).isEqualTo(expected.report());
    assertThat(a.scheme()).isEqualTo(e.scheme());
    assertThat(a.words().mismatch(e.words())).isEqualTo(-1);
    assertThat(a.scales().mismatch(e.scales())).isEqualTo(-1);
    assertThat(a.zeros().isPresent()).isEqualTo(e.zeros().isPresent());
    a.zeros().ifPresent(z -> assertThat(z.mismatch(e.zeros().orElseThrow())).isEqualTo(-1));
    assertThat(IntStream.range(0, COLUMNS).map(a::group).toArray())
        .containsExactly(IntStream.range(0, COLUMNS).map(e::group).toArray());
  }

  @Test
  void blocksAreFoundAgainAsTheyWere() throws IOException {
    try (WorkFolder work = work()) {
      assertThat(work.find(0)).isEmpty();
      work.put(0, block(0));
      work.put(1, ImmutableMap.of());
    }
    try (WorkFolder work = work()) {
      assertThat(work.finished()).isEqualTo(2);
      ImmutableMap<String, QuantizedModule> found = work.find(0).orElseThrow();
      assertThat(found.keySet()).containsExactly("q", "o");
      block(0).forEach((name, module) -> assertSame(found.get(name), module));
      assertThat(work.find(1).orElseThrow()).isEmpty();
      assertThat(work.find(2)).isEmpty();
      StoredTensor bias = work.modules(0).get("q").bias().orElseThrow();
      assertThat(bias.type()).isEqualTo(StoredType.BF16);
      assertThat(bias.data().mismatch(bias("q").orElseThrow().data())).isEqualTo(-1);
      assertThat(work.modules(0).get("o").bias()).isEmpty();
      assertThat(notes).isEmpty();
    }
  }

  @Test
  void replacementsHoldUntilTheNextRun() throws IOException {
    try (WorkFolder work = work()) {
      work.put(0, block(0));
      work.replace(0, ImmutableMap.of("o", module("o", 4)));
      work.replace(0, ImmutableMap.of("o", module("o", 6)));
      assertSame(work.modules(0).get("o").quantized(), module("o", 6));
      assertThat(work.reports(0)).extracting(ModuleReport::name).containsExactly("q", "o");
      assertThat(work.reports(0).get(1).sym()).isFalse();
    }
    try (WorkFolder work = work()) {
      assertSame(work.modules(0).get("o").quantized(), module("o", 1));
    }
  }

  /** What may have become of a file. */
  enum Damage {
    MISSING {
      @Override
      void apply(Path file) throws IOException {
        Files.delete(file);
      }
    },
    EMPTY {
      @Override
      void apply(Path file) throws IOException {
        Files.write(file, new byte[0]);
      }
    },
    CUT {
      @Override
      void apply(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
      }
    },
    CUT_AT_A_LINE {
      @Override
      void apply(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        int end = bytes.length - 1;
        while (end > 0 && bytes[end - 1] != '\n') {
          end--;
        }
        Files.write(file, Arrays.copyOf(bytes, end));
      }
    },
    ONE_BIT {
      @Override
      void apply(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 3] ^= 4;
        Files.write(file, bytes);
      }
    },
    LONGER {
      @Override
      void apply(Path file) throws IOException {
        Files.write(file, new byte[] {1}, StandardOpenOption.APPEND);
      }
    },
    ZEROS {
      @Override
      void apply(Path file) throws IOException {
        Files.write(file, new byte[Math.toIntExact(Files.size(file))]);
      }
    };

    abstract void apply(Path file) throws IOException;
  }

  @ParameterizedTest
  @EnumSource
  void damagedBlocksAreDoneAgainAndSaid(Damage damage) throws IOException {
    for (String name : List.of("manifest.jsonl", "weights.bin")) {
      notes.clear();
      Path file;
      try (WorkFolder work = work(name)) {
        work.put(0, block(0));
        work.put(1, block(1));
        work.put(2, block(2));
        file = work.folder().resolve("block-00001").resolve(name);
      }
      damage.apply(file);
      try (WorkFolder work = work(name)) {
        assertThat(notes).hasSize(1);
        assertThat(notes.getFirst()).startsWith("block 1 is done again").contains(file.toString());
        assertThat(work.finished()).isEqualTo(1);
        assertThat(work.find(1)).isEmpty();
        work.put(1, block(1));
        assertThat(work.finished()).isEqualTo(3);
        block(1).forEach((module, m) -> assertSame(work.find(1).orElseThrow().get(module), m));
        work.delete();
      }
    }
  }

  @Test
  void damageDuringARunIsAnErrorThatNamesTheFile() throws IOException {
    try (WorkFolder work = work()) {
      work.put(0, block(0));
      Path file = work.folder().resolve("block-00000/weights.bin");
      Damage.ONE_BIT.apply(file);
      assertThat(work.reports(0)).hasSize(2);
      assertThatThrownBy(() -> work.modules(0))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageContaining(file + ": the ")
          .hasMessageContaining("have changed");
    }
  }

  @Test
  void aBlockOfAnotherPlaceOrRunIsNotTaken() throws IOException {
    Path first;
    try (WorkFolder work = work("one")) {
      work.put(0, block(0));
      first = work.folder();
    }
    Files.move(first.resolve("block-00000"), first.resolve("block-00001"));
    try (WorkFolder work = work("one")) {
      assertThat(notes)
          .singleElement()
          .asString()
          .contains("it is that of block 0 of run " + key("one").text());
      work.put(0, block(0));
    }
    notes.clear();
    Files.move(first, first.resolveSibling(".out.work-" + key("two").text()));
    try (WorkFolder work = work("two")) {
      assertThat(work.finished()).isZero();
      assertThat(notes).singleElement().asString().contains("of run " + key("one").text());
    }
  }

  @Test
  void whatAnInterruptedWriteLeftIsWrittenAnew() throws IOException {
    try (WorkFolder work = work()) {
      Path staging = work.folder().resolve("unfinished-block-00000");
      Files.createDirectories(staging);
      Files.writeString(staging.resolve("weights.bin"), "half", StandardCharsets.UTF_8);
      assertThat(work.finished()).isZero();
      work.put(0, block(0));
      assertThat(work.finished()).isEqualTo(1);
      assertThat(staging).doesNotExist();
    }
  }

  @Test
  void modulesThatComeOneByOneGiveTheSameFiles() throws IOException {
    try (WorkFolder work = work("one");
        WorkFolder other = work("one by one")) {
      work.put(0, block(0));
      try (BlockSink sink = other.begin(0)) {
        for (QuantizedModule module : block(0).values()) {
          sink.add(List.of(module));
          assertThat(other.finished()).isZero();
        }
        sink.finish();
      }
      assertThat(other.folder().resolve("block-00000/weights.bin"))
          .hasSameBinaryContentAs(work.folder().resolve("block-00000/weights.bin"));
      block(0).forEach((name, m) -> assertSame(other.find(0).orElseThrow().get(name), m));
      assertThat(other.reports(0)).isEqualTo(work.reports(0));
    }
  }

  @Test
  void ofABlockThatIsNotWholeNothingIsLeft() throws IOException {
    try (WorkFolder work = work()) {
      work.put(0, block(0));
      try (BlockSink sink = work.begin(1)) {
        sink.add(List.of(module("q", 2)));
        assertThat(work.folder().resolve("unfinished-block-00001/weights.bin")).isNotEmptyFile();
      }
      assertThat(work.folder().resolve("unfinished-block-00001")).doesNotExist();
      assertThat(work.finished()).isEqualTo(1);
      // What a run that was killed has left.
      Files.createDirectory(work.folder().resolve("unfinished-block-00001"));
      Files.createDirectory(work.folder().resolve("unfinished-again-00000-00000"));
    }
    try (WorkFolder work = work()) {
      assertThat(work.finished()).isEqualTo(1);
      assertThat(work.folder().resolve("unfinished-block-00001")).doesNotExist();
      assertThat(work.folder().resolve("unfinished-again-00000-00000")).doesNotExist();
      assertThat(notes).isEmpty();
    }
  }

  @Test
  void anAnnouncedCheckpointIsKnownByItsLog() throws IOException {
    Path output = Files.createDirectory(folder.resolve("out"));
    byte[] log = {1, 2, 3};
    try (WorkFolder work = work()) {
      work.put(0, block(0));
      Files.write(output.resolve("quantization-log.jsonl"), log);
      assertThat(work.isWritten(output)).isFalse();
      work.announce(log);
      assertThat(work.isWritten(output)).isTrue();
      assertThat(WorkFolder.isAnnounced(output, output)).isTrue();
      try (WorkFolder other = work("other")) {
        assertThat(other.isWritten(output)).isFalse();
      }
      Files.write(output.resolve("quantization-log.jsonl"), new byte[] {1, 2});
      assertThat(work.isWritten(output)).isFalse();
      assertThat(WorkFolder.isAnnounced(output, output)).isFalse();
      Files.delete(output.resolve("quantization-log.jsonl"));
      assertThat(WorkFolder.isAnnounced(output, output)).isFalse();
    }
  }

  @Test
  void aRunDeletesOnlyItsOwnWork() throws IOException {
    try (WorkFolder mine = work("one");
        WorkFolder other = work("two")) {
      mine.put(0, block(0));
      other.put(0, block(1));
      assertThat(mine.others()).containsExactly(other.folder());
      try (WorkFolder third = work("three")) {
        assertThat(notes)
            .hasSize(2)
            .anyMatch(note ->
                note.startsWith(mine.folder().toString())
                    && note.contains("(run was one and is three)"));
        assertThat(third.finished()).isZero();
      }
      mine.delete();
      assertThat(mine.folder()).doesNotExist();
      assertThat(other.finished()).isEqualTo(1);
    }
  }
}
