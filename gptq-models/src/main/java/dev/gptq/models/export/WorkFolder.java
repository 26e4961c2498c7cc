package dev.gptq.models.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import dev.gptq.models.gptqformat.GptqConfig;
import dev.gptq.models.gptqformat.GptqTensors;
import dev.gptq.models.pipeline.BlockStore;
import dev.gptq.models.pipeline.ModuleReport;
import dev.gptq.models.pipeline.QuantizationLog;
import dev.gptq.models.pipeline.QuantizedModule;
import dev.gptq.models.safetensors.Checkpoint;
import dev.gptq.models.safetensors.CheckpointWriter;
import dev.gptq.models.safetensors.StoredTensor;
import dev.gptq.models.safetensors.WriterOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Where finished blocks wait until the whole model is done, so that an interrupted run can go on: a
 * hidden sibling of the output folder whose name ends in a fingerprint of everything that decides
 * the result. Each block is a small checkpoint of its own, written whole or not at all.
 */
public final class WorkFolder implements BlockStore, AutoCloseable {
  private final Path folder;
  private final GptqConfig config;
  private final Function<String, Optional<StoredTensor>> biases;
  private final Map<Integer, Checkpoint> open = new HashMap<>();

  /**
   * The work folder of a run.
   *
   * @param output where the checkpoint will be
   * @param fingerprint of the model, the calibration and the settings
   * @param config format of the packed tensors
   * @param biases the bias of a module, by the module's full name
   */
  public WorkFolder(
      Path output,
      String fingerprint,
      GptqConfig config,
      Function<String, Optional<StoredTensor>> biases) {
    Path absolute = output.toAbsolutePath().normalize();
    this.folder = absolute.resolveSibling("." + absolute.getFileName() + ".work-" + fingerprint);
    this.config = config;
    this.biases = biases;
  }

  /** Where finished blocks are. */
  public Path folder() {
    return folder;
  }

  /** Number of blocks that are finished. */
  public int finished() {
    int count = 0;
    while (Files.isDirectory(blockFolder(count))) {
      count++;
    }
    return count;
  }

  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    if (!Files.isDirectory(blockFolder(block))) {
      return Optional.empty();
    }
    ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();
    for (ModuleReport report : reports(block)) {
      modules.put(
          report.name(),
          new QuantizedModule(
              GptqTensors.read(checkpoint(block), report.name(), config).matrix(), report));
    }
    return Optional.of(modules.buildOrThrow());
  }

  @Override
  public void put(int block, ImmutableMap<String, QuantizedModule> modules) {
    StringBuilder log = new StringBuilder();
    modules.values().forEach(m -> log.append(QuantizationLog.line(m.report())).append('\n'));
    byte[] lines = log.toString().getBytes(StandardCharsets.UTF_8);
    try {
      if (modules.isEmpty()) {
        putEmpty(block, lines);
        return;
      }
      try (CheckpointWriter writer =
          CheckpointWriter.create(blockFolder(block), WriterOptions.DEFAULT)) {
        for (Map.Entry<String, QuantizedModule> module : modules.entrySet()) {
          GptqTensors.write(
              writer,
              module.getKey(),
              module.getValue().packed(),
              config.format(),
              biases.apply(module.getKey()));
        }
        writer.writeFile(QuantizationLog.FILE, lines);
        writer.commit();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A block of which no module was selected has a log and no tensors. */
  private void putEmpty(int block, byte[] log) throws IOException {
    Files.createDirectories(folder);
    Path staging = Files.createTempDirectory(folder, ".empty");
    Files.write(staging.resolve(QuantizationLog.FILE), log);
    Files.move(staging, blockFolder(block), StandardCopyOption.ATOMIC_MOVE);
  }

  /** The packed tensors of a finished block that has some. */
  Checkpoint checkpoint(int block) {
    return open.computeIfAbsent(
        block,
        b -> {
          try {
            return Checkpoint.open(blockFolder(b));
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  /** The reports of a finished block, in the order in which its modules were quantized. */
  public List<ModuleReport> reports(int block) {
    try {
      List<ModuleReport> reports = new ArrayList<>();
      for (String line : Files.readAllLines(blockFolder(block).resolve(QuantizationLog.FILE))) {
        reports.add(QuantizationLog.parse(line));
      }
      return reports;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Deletes the folder, and those of other unfinished runs with the same output. */
  public void delete() throws IOException {
    close();
    String prefix = folder.getFileName().toString().replaceFirst("-[^-]*$", "-");
    try (Stream<Path> siblings = Files.list(folder.getParent())) {
      for (Path sibling : siblings.toList()) {
        if (sibling.getFileName().toString().startsWith(prefix)) {
          MoreFiles.deleteRecursively(sibling);
        }
      }
    }
  }

  @Override
  public void close() throws IOException {
    for (Checkpoint checkpoint : open.values()) {
      checkpoint.close();
    }
    open.clear();
  }

  private Path blockFolder(int block) {
    return folder.resolve(String.format(Locale.ROOT, "block-%05d", block));
  }
}
