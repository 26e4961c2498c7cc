package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.FileFailure;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufShards;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.GrowingCheckpoint;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The checkpoints that a run writes. */
record RunOutput(Model model, RunRequest request) {

  /** Those that an interrupted run has not written yet. */
  ImmutableList<CheckpointSettings> missing(WorkFolder work) throws IOException {
    ImmutableList.Builder<CheckpointSettings> missing = ImmutableList.builder();
    for (CheckpointSettings checkpoint : request.checkpoints()) {
      if (!work.isWritten(request.folder(checkpoint))) {
        missing.add(checkpoint);
      }
    }
    return missing.build();
  }

  /**
   * Writes some of them; where that fails all blocks are kept. Returns why checks may have seen the
   * system's cache and not the disk.
   *
   * @param logs what lies beside each, by the names of files
   */
  ImmutableSet<String> write(
      WorkFolder work,
      GrowingCheckpoints growing,
      ImmutableList<CheckpointSettings> checkpoints,
      ImmutableMap<String, String> logs)
      throws IOException {
    try {
      ImmutableSet.Builder<String> unchecked = ImmutableSet.builder();
      for (CheckpointSettings checkpoint : checkpoints) {
        write(work, growing, checkpoint, logs).ifPresent(unchecked::add);
      }
      return unchecked.build();
    } catch (IOException e) {
      throw new IOException(
          "%s; all finished blocks are kept in %s and the same command writes the checkpoint"
              .formatted(FileFailure.reason(e), work.folder()),
          e);
    }
  }

  private Optional<String> write(
      WorkFolder work,
      GrowingCheckpoints growing,
      CheckpointSettings checkpoint,
      ImmutableMap<String, String> logs)
      throws IOException {
    Optional<GrowingCheckpoint> grown = growing.of(checkpoint);
    return grown.isPresent()
        ? grown.get().finish(work, logs)
        : CheckpointExporter.export(
            model, work, checkpoint, logs, request.folder(checkpoint), request.overwrite());
  }

  /** Where the first of them is: a folder, or a file, of several the first. */
  Path place() throws IOException {
    CheckpointSettings first = request.checkpoints().getFirst();
    Path folder = request.folder(first);
    return first.format() instanceof GgufFormat
        ? GgufShards.first(folder.resolve(CheckpointExporter.weightFile(model, first)))
        : folder;
  }

  /**
   * What the first of them takes.
   *
   * @param bytes of all tensors
   * @param bitsPerWeight of the quantized modules
   */
  record Size(long bytes, double bitsPerWeight) {}

  /** What the first takes, once it is written. */
  Size size(List<ModuleReport> reports) throws IOException {
    CheckpointSettings first = request.checkpoints().getFirst();
    try (Checkpoint written = written(first)) {
      long packedBytes = 0;
      long weights = 0;
      for (ModuleReport report : reports) {
        if (first.format() instanceof GgufFormat) {
          packedBytes += ggufBytes(report);
        }
        for (String part : first.format().parts()) {
          packedBytes +=
              written.find(report.name() + "." + part).map(t -> t.data().byteSize()).orElse(0L);
        }
        weights += (long) report.rows() * report.columns();
      }
      return new Size(written.totalBytes(), 8.0 * packedBytes / weights);
    }
  }

  private Checkpoint written(CheckpointSettings first) throws IOException {
    return first.format() instanceof GgufFormat
        ? GgufFile.open(place()).seenAs(ImmutableMap.of())
        : Checkpoint.open(place());
  }

  private long ggufBytes(ModuleReport report) {
    GgufType type = request.settings().types().get(report.name());
    if (type == null) {
      type =
          GgufType.of(
              new ModuleSettings(report.bits(), report.groupSize(), request.base().sym(), false));
    }
    return type.bytes((long) report.rows() * report.columns());
  }
}
