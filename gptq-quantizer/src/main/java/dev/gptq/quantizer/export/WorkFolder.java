package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.gptq.GptqTensors;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.quantizer.pipeline.BlockStore;
import dev.gptq.quantizer.pipeline.FinishedBlocks;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Where finished blocks wait until the whole model is done, so that an interrupted run can go on: a
 * hidden sibling of the output folder whose name ends in a fingerprint of everything that decides
 * the result. Each block is a small checkpoint of its own, written whole or not at all, and so are
 * modules of it that were quantized again.
 */
public final class WorkFolder implements BlockStore, FinishedBlocks, AutoCloseable {
  private final Path folder;
  private final GptqConfig config;
  private final Function<String, Optional<StoredTensor>> biases;
  private final Map<Path, Checkpoint> open = new HashMap<>();

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
    for (ModuleReport report : read(blockFolder(block))) {
      modules.put(
          report.name(),
          new QuantizedModule(
              GptqTensors.read(checkpoint(blockFolder(block)), report.name(), config).matrix(),
              report));
    }
    return Optional.of(modules.buildOrThrow());
  }

  @Override
  public void put(int block, ImmutableMap<String, QuantizedModule> modules) {
    try {
      if (modules.isEmpty()) {
        putEmpty(block);
      } else {
        write(blockFolder(block), modules);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void replace(int block, ImmutableMap<String, QuantizedModule> modules) {
    try {
      write(replacementFolder(block, replacements(block)), modules);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Forgets everything that {@link #replace} has put into the place of finished modules. */
  public void dropReplacements() throws IOException {
    close();
    for (int block = 0; block < finished(); block++) {
      for (int i = replacements(block) - 1; i >= 0; i--) {
        MoreFiles.deleteRecursively(replacementFolder(block, i));
      }
    }
  }

  private void write(Path target, ImmutableMap<String, QuantizedModule> modules)
      throws IOException {
    try (CheckpointWriter writer = CheckpointWriter.create(target, WriterOptions.DEFAULT)) {
      StringBuilder log = new StringBuilder();
      for (Map.Entry<String, QuantizedModule> module : modules.entrySet()) {
        GptqTensors.write(
            writer,
            module.getKey(),
            module.getValue().packed(),
            config.format(),
            biases.apply(module.getKey()));
        log.append(QuantizationLog.line(module.getValue().report())).append('\n');
      }
      writer.writeFile(QuantizationLog.FILE, log.toString().getBytes(StandardCharsets.UTF_8));
      writer.commit();
    }
  }

  /** A block of which no module was selected has a log and no tensors. */
  private void putEmpty(int block) throws IOException {
    Files.createDirectories(folder);
    Path staging = Files.createTempDirectory(folder, ".empty");
    Files.createFile(staging.resolve(QuantizationLog.FILE));
    Files.move(staging, blockFolder(block), StandardCopyOption.ATOMIC_MOVE);
  }

  /** The checkpoints that hold the modules of a finished block, by module. */
  Map<String, Checkpoint> modules(int block) {
    Map<String, Checkpoint> modules = new LinkedHashMap<>();
    for (Path part : parts(block)) {
      for (ModuleReport report : read(part)) {
        modules.put(report.name(), checkpoint(part));
      }
    }
    return modules;
  }

  @Override
  public List<ModuleReport> reports(int block) {
    Map<String, ModuleReport> reports = new LinkedHashMap<>();
    for (Path part : parts(block)) {
      read(part).forEach(report -> reports.put(report.name(), report));
    }
    return List.copyOf(reports.values());
  }

  /** The folder of a finished block and those of its replacements; later ones hold. */
  private List<Path> parts(int block) {
    List<Path> parts = new ArrayList<>(List.of(blockFolder(block)));
    for (int i = 0; i < replacements(block); i++) {
      parts.add(replacementFolder(block, i));
    }
    return parts;
  }

  private int replacements(int block) {
    int count = 0;
    while (Files.isDirectory(replacementFolder(block, count))) {
      count++;
    }
    return count;
  }

  private Checkpoint checkpoint(Path part) {
    return open.computeIfAbsent(
        part,
        p -> {
          try {
            return Checkpoint.open(p);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  private static List<ModuleReport> read(Path part) {
    try {
      return Files.readAllLines(part.resolve(QuantizationLog.FILE)).stream()
          .map(QuantizationLog::parse)
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Deletes the folder, and those of other unfinished runs with the same output. */
  public void delete() throws IOException {
    close();
    if (!Files.isDirectory(folder.getParent())) {
      return;
    }
    String prefix = folder.getFileName().toString().replaceFirst("-[^-]*$", "-");
    try (Stream<Path> siblings = Files.list(folder.getParent())) {
      for (Path sibling : siblings.toList()) {
        if (sibling.getFileName().toString().startsWith(prefix)) {
          deleteRun(sibling);
        }
      }
    }
  }

  /**
   * Deletes blocks side by side: giving back gigabytes of cached files takes a processor a second.
   */
  private static void deleteRun(Path run) throws IOException {
    try (Stream<Path> blocks = Files.list(run)) {
      blocks.toList().stream()
          .parallel()
          .forEach(block -> {
            try {
              MoreFiles.deleteRecursively(block);
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    MoreFiles.deleteRecursively(run);
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

  private Path replacementFolder(int block, int index) {
    return folder.resolve(String.format(Locale.ROOT, "block-%05d-again-%05d", block, index));
  }
}
