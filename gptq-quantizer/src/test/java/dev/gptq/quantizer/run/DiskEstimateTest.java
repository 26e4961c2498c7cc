package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DiskEstimateTest {
  private static final long MIB = 1 << 20;

  @TempDir private Path folder;

  private static long bytes(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Measures what is there when the checkpoint is about to be written. */
  private static final class Scales implements QuantizationListener {
    private final List<String> said = new ArrayList<>();
    private Path work;
    private long kept;

    @Override
    public void disk(String sentence) {
      said.add(sentence);
    }

    @Override
    public void working(Path workFolder, int finishedBlocks) {
      assertThat(said).as("said before the work").hasSize(1);
      work = workFolder;
    }

    @Override
    public void block(int index, int count) {}

    @Override
    public void module(ModuleReport report) {}

    @Override
    public void writing(Path output) {
      kept = bytes(work);
    }
  }

  @Test
  void whatIsWrittenIsWhatWasSaid() throws IOException {
    Path model = RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json("llama"), 11);
    Path output = folder.resolve("out");
    Scales scales = new Scales();
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      Quantization quantization =
          Quantization.of(model)
              .groupSize(32)
              .windows(ImmutableList.of(new int[32], new int[32]))
              .on(backend)
              .to(output);
      DiskEstimate disk;
      try (QuantizationPlan plan = quantization.plan()) {
        Forecast forecast = plan.forecast(backend);
        disk = plan.disk(backend, forecast);
        assertThat(plan.wouldKeep(backend, forecast))
            .isEqualTo(new DiskEstimate.Kept(true, false, true));
      }
      quantization.run(scales);
      // Names and numbers of headers, manifests and logs come on top.
      long texts = 64 << 10;
      assertThat(bytes(output)).isBetween(disk.checkpoint() - (1 << 10), disk.checkpoint() + texts);
      assertThat(scales.kept).isBetween(disk.blocks() / 2, disk.blocks() + texts);
      assertThat(disk.states()).isEqualTo(2 * 32 * 32 * Float.BYTES);
    }
    assertThat(scales.said.getFirst())
        .contains("for the checkpoint", "states to go on from", "are free");
  }

  @Test
  void aDiskWithoutRoomIsRefusedWithNumbers() throws IOException {
    DiskEstimate disk =
        new DiskEstimate(100 * MIB, 60 * MIB, 40 * MIB, 90 * MIB, 30 * MIB, 0, false);
    DiskEstimate.Kept all = new DiskEstimate.Kept(true, true, false);
    DiskEstimate.Kept states = new DiskEstimate.Kept(true, false, false);
    DiskEstimate.Kept nothing = new DiskEstimate.Kept(false, false, false);
    assertThat(disk.keeps(KeptStates.AUTO, 310 * MIB, folder)).isEqualTo(all);
    assertThat(disk.keeps(KeptStates.ALWAYS, 310 * MIB, folder)).isEqualTo(all);
    assertThat(disk.keeps(KeptStates.NEVER, 310 * MIB, folder)).isEqualTo(nothing);
    assertThat(disk.keeps(KeptStates.AUTO, 310 * MIB - 1, folder)).isEqualTo(states);
    assertThat(disk.keeps(KeptStates.AUTO, 280 * MIB - 1, folder)).isEqualTo(nothing);
    assertThatThrownBy(() -> disk.keeps(KeptStates.ALWAYS, 310 * MIB - 1, folder))
        .isInstanceOf(IOException.class)
        .hasMessageContainingAll(
            "309 MiB free", "needs 310 MiB", "twice 90 MiB", "30 MiB for the curvature");
    assertThat(disk.keeps(KeptStates.AUTO, 200 * MIB, folder)).isEqualTo(nothing);
    assertThatThrownBy(() -> disk.keeps(KeptStates.AUTO, 199 * MIB, folder))
        .isInstanceOf(IOException.class)
        .hasMessageContainingAll(
            folder.toString(),
            "199 MiB free",
            "needs 200 MiB",
            "100 MiB for the checkpoint",
            "60 MiB for finished blocks",
            "40 MiB for Hessians");
    assertThat(disk.sentence(nothing, 250 * MIB))
        .contains("states to go on from are not kept", "the curvature (30 MiB) is not kept");
    assertThat(disk.sentence(states, 280 * MIB))
        .contains("twice 90 MiB", "280 MiB are free", "the curvature (30 MiB) is not kept");
    assertThat(disk.sentence(all, 310 * MIB))
        .contains("twice 90 MiB", "30 MiB for the curvature")
        .doesNotContain("not kept");
  }

  /** Hidden states that wait in files do so until the last block, whatever is kept. */
  @Test
  void hiddenStatesInFilesTakeRoomBesideAllElse() throws IOException {
    DiskEstimate disk = new DiskEstimate(100 * MIB, 60 * MIB, 0, 90 * MIB, 0, 70 * MIB, false);
    assertThat(disk.most(new DiskEstimate.Kept(true, false, false))).isEqualTo(310 * MIB);
    assertThat(disk.most(new DiskEstimate.Kept(false, false, true))).isEqualTo(230 * MIB);
    assertThat(disk.keeps(KeptStates.AUTO, 160 * MIB, folder))
        .isEqualTo(new DiskEstimate.Kept(false, false, false));
    assertThatThrownBy(() -> disk.keeps(KeptStates.AUTO, 159 * MIB, folder))
        .hasMessageContaining("70 MiB for hidden states before");
  }

  /** Where there is room for it, but not at the price of what spares an interrupted run work. */
  @Test
  void theCheckpointGrowsWhereThereIsRoomForIt() throws IOException {
    DiskEstimate disk = new DiskEstimate(100 * MIB, 60 * MIB, 0, 90 * MIB, 30 * MIB, 0, true);
    DiskEstimate.Kept all = new DiskEstimate.Kept(true, true, true);
    assertThat(disk.most(all)).isEqualTo(370 * MIB);
    for (KeptStates wanted : List.of(KeptStates.AUTO, KeptStates.ALWAYS)) {
      assertThat(disk.keeps(wanted, 370 * MIB, folder)).isEqualTo(all);
      assertThat(disk.keeps(wanted, 370 * MIB - 1, folder))
          .isEqualTo(new DiskEstimate.Kept(true, true, false));
    }
    assertThat(disk.keeps(KeptStates.AUTO, 270 * MIB - 1, folder))
        .isEqualTo(new DiskEstimate.Kept(true, false, false));
    assertThat(disk.keeps(KeptStates.AUTO, 160 * MIB, folder))
        .isEqualTo(new DiskEstimate.Kept(false, false, true));
    assertThat(disk.sentence(all, 370 * MIB))
        .contains("for states to go on from,")
        .doesNotContain("before");
  }

  @Test
  void whatAnEarlierRunWroteCountsAsFree() throws IOException {
    Path work = Files.createDirectories(folder.resolve("work"));
    long before =
        DiskEstimate.free(folder.resolve("not/yet/there"), List.of(folder.resolve("none")));
    assertThat(before).isPositive();
    // A file without blocks on the disk, so that only its length counts.
    try (RandomAccessFile file = new RandomAccessFile(work.resolve("block").toFile(), "rw")) {
      file.setLength(1L << 40);
    }
    assertThat(DiskEstimate.free(folder.resolve("out"), List.of(folder.resolve("none"), work)))
        .isGreaterThan(1L << 40);
  }
}
