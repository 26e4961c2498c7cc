package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.hash.Hashing;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.formats.DurableFiles;
import dev.gptq.formats.FileFailure;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.quantizer.pipeline.BlockSink;
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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Where finished blocks wait until the whole model is done, so that an interrupted run can go on: a
 * hidden sibling of the output folder whose name ends in the key of the run. Each block has a
 * folder of {@link BlockFiles}, and so have modules of it that were quantized again.
 */
public final class WorkFolder implements BlockStore, FinishedBlocks, AutoCloseable {
  private static final String BLOCK = "block-";

  /** Before the name of a folder until it is whole. */
  private static final String UNFINISHED = "unfinished-";

  /** Holds the hash of the log of a checkpoint that is about to get its name. */
  private static final String ANNOUNCED = "announced.sha256";

  private final Path folder;
  private final RunKey key;
  private final Function<String, Optional<StoredTensor>> biases;
  private final Map<Path, BlockFiles> open = new HashMap<>();

  /** What this run has written, which need not be read again to know of modules how they went. */
  private final Map<Path, Manifest> written = new ConcurrentHashMap<>();

  private WorkFolder(Path folder, RunKey key, Function<String, Optional<StoredTensor>> biases) {
    this.folder = folder;
    this.key = key;
    this.biases = biases;
  }

  /**
   * Opens the work folder of a run, which need not exist yet. Every byte of the blocks in it is
   * compared with what was written; those that are damaged or unfinished are deleted and will be
   * done again. What {@link #replace} put into an earlier run is forgotten. Folders of other keys
   * stay.
   *
   * @param output where the checkpoint will be
   * @param key of everything that decides the result
   * @param biases the bias of a module, by the module's full name
   * @param notes hears which blocks have to be done again and why, and which other runs with the
   *     same output left blocks behind, and in what they differ
   */
  public static WorkFolder open(
      Path output,
      RunKey key,
      Function<String, Optional<StoredTensor>> biases,
      Consumer<String> notes)
      throws IOException {
    Path folder = Path.of(prefix(output) + key.text());
    WorkFolder work = new WorkFolder(folder, key, biases);
    if (Files.isDirectory(folder)) {
      work.recover(notes);
    }
    for (Path other : work.others()) {
      work.tellApart(other, notes);
    }
    return work;
  }

  private static String prefix(Path output) {
    Path absolute = output.toAbsolutePath().normalize();
    return absolute.resolveSibling("." + absolute.getFileName() + ".work-").toString();
  }

  private void recover(Consumer<String> notes) throws IOException {
    dropReplacements();
    for (Path path : entries(folder)) {
      String name = path.getFileName().toString();
      if (name.startsWith(UNFINISHED + BLOCK)) {
        MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
      } else if (name.startsWith(BLOCK)) {
        int block = Integer.parseInt(name.substring(BLOCK.length()));
        try {
          files(path, block);
        } catch (DamagedFileException e) {
          notes.accept(
              "block %d is done again, because what was kept of it is damaged: %s"
                  .formatted(block, e.getMessage()));
          MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
        }
      }
    }
  }

  private void tellApart(Path other, Consumer<String> notes) throws IOException {
    String differences =
        RunKey.read(other)
            .map(key::changesSince)
            .map(changes -> String.join("; ", changes))
            .orElse("other settings");
    notes.accept(
        "%s holds blocks of a run that was not this one (%s); they are not used, delete the folder if"
                .formatted(other, differences)
            + " you do not want to go on with that run");
  }

  private static List<Path> entries(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.sorted().toList();
    }
  }

  /** Where finished blocks are. */
  public Path folder() {
    return folder;
  }

  /** The folder of hidden states that lie in files while nothing works on them. */
  public Path hiddenStates() {
    return folder.resolve("hidden-states");
  }

  /**
   * The newest hidden states of the run.
   *
   * @param curvature whether there is room for the curvature, too
   * @param notes hears which could not be used or kept, and why
   */
  public StateFolder states(boolean curvature, Consumer<String> notes) {
    return states(StateFolder.Kind.STATES, curvature, notes);
  }

  /**
   * Where the tuning of the run stands.
   *
   * @param notes hears what could not be used or kept, and why
   */
  public TuningFolder tuning(Consumer<String> notes) {
    return new TuningFolder(states(StateFolder.Kind.TUNING, false, notes));
  }

  private StateFolder states(StateFolder.Kind kind, boolean curvature, Consumer<String> notes) {
    return new StateFolder(folder, kind, key.text(), curvature, notes, System::nanoTime);
  }

  /** Number of blocks that are finished, up to the first that is not. */
  public int finished() {
    int count = 0;
    while (Files.isDirectory(blockFolder(count))) {
      count++;
    }
    return count;
  }

  /** Folders of other unfinished runs with the same output. */
  ImmutableList<Path> others() throws IOException {
    String prefix = prefix(folder.resolveSibling(outputName()));
    return entries(folder.getParent()).stream()
        .filter(path -> path.toString().startsWith(prefix) && !path.equals(folder))
        .collect(ImmutableList.toImmutableList());
  }

  private String outputName() {
    String name = folder.getFileName().toString();
    return name.substring(1, name.length() - (".work-" + key.text()).length());
  }

  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    Path path = blockFolder(block);
    if (!Files.isDirectory(path)) {
      return Optional.empty();
    }
    ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();
    opened(path, block).modules().forEach((name, module) -> modules.put(name, module.quantized()));
    return Optional.of(modules.buildOrThrow());
  }

  @Override
  public BlockSink begin(int block) {
    return new Unfinished(blockFolder(block), block);
  }

  @Override
  public void replace(int block, ImmutableMap<String, QuantizedModule> modules) {
    try (Unfinished replacement =
        new Unfinished(replacementFolder(block, replacements(block)), block)) {
      replacement.add(modules.values().asList());
      replacement.finish();
    }
  }

  /** A module of a block that has {@linkplain #begin begun} as it will be kept. */
  public KeptModule toBeKept(int block, QuantizedModule module) {
    return new KeptModule(module, biases.apply(module.report().name()), blockFolder(block));
  }

  /** What becomes a folder of a block when all of its modules have come. */
  private final class Unfinished implements BlockSink {
    private final Path target;
    private final int block;
    private final BlockWriter writer;

    Unfinished(Path target, int block) {
      this.target = target;
      this.block = block;
      try {
        if (!Files.exists(folder.resolve(RunKey.FILE))) {
          Files.createDirectories(folder);
          key.write(folder);
        }
        this.writer = BlockWriter.begin(folder.resolve(UNFINISHED + target.getFileName()));
      } catch (IOException e) {
        throw failure(e);
      }
    }

    @Override
    public void add(List<QuantizedModule> modules) {
      try {
        writer.add(modules, biases);
      } catch (IOException e) {
        throw failure(e);
      }
    }

    @Override
    public void finish() {
      try {
        written.put(target, writer.publish(target, block, key.text()));
      } catch (IOException e) {
        throw failure(e);
      }
    }

    @Override
    public void close() {
      try {
        writer.close();
      } catch (IOException e) {
        throw failure(e);
      }
    }

    private UncheckedIOException failure(IOException e) {
      return new UncheckedIOException(
          new IOException(
              "keeping block %d in %s failed: %s; once that is mended the same command goes on behind the"
                      .formatted(block, folder, FileFailure.reason(e))
                  + " blocks before it, which are kept",
              e));
    }
  }

  /** Forgets everything that {@link #replace} has put into the place of finished modules. */
  public void dropReplacements() throws IOException {
    close();
    for (Path path : entries(folder)) {
      if (path.getFileName().toString().matches("(%s)?again-.*".formatted(UNFINISHED))) {
        MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    }
  }

  /** The modules of a finished block by full name, those of replacements in their place. */
  public ImmutableMap<String, KeptModule> modules(int block) {
    Map<String, KeptModule> modules = new LinkedHashMap<>();
    for (Path part : parts(block)) {
      modules.putAll(opened(part, block).modules());
    }
    return ImmutableMap.copyOf(modules);
  }

  @Override
  public List<ModuleReport> reports(int block) {
    Map<String, ModuleReport> reports = new LinkedHashMap<>();
    for (Path part : parts(block)) {
      manifest(part, block).reports().forEach(report -> reports.put(report.name(), report));
    }
    return List.copyOf(reports.values());
  }

  private Manifest manifest(Path part, int block) {
    Manifest own = written.get(part);
    return own != null ? own : opened(part, block).manifest();
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

  private BlockFiles opened(Path part, int block) {
    try {
      return files(part, block);
    } catch (DamagedFileException e) {
      throw new UncheckedIOException(
          new IOException(
              e.getMessage() + "; check the disk and give the same command to do this block again",
              e));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private synchronized BlockFiles files(Path part, int block) throws IOException {
    BlockFiles files = open.get(part);
    if (files == null) {
      files = BlockFiles.open(part, block, key.text());
      open.put(part, files);
    }
    return files;
  }

  /**
   * Says that the checkpoint with this log is whole and about to get its name. The log has the
   * times of all modules in it, so that no other run has the same.
   */
  public void announce(byte[] log) throws IOException {
    Path file = folder.resolve(ANNOUNCED);
    Files.deleteIfExists(file);
    DurableFiles.write(file, hash(log).getBytes(StandardCharsets.UTF_8));
  }

  /** Whether the folder is a checkpoint that this run announced, so that it need not be written. */
  public boolean isWritten(Path checkpoint) throws IOException {
    return announced(folder, checkpoint);
  }

  /**
   * Whether an unfinished run beside the output announced the checkpoint in a folder, which is the
   * output or, of several formats, in it.
   */
  public static boolean isAnnounced(Path output, Path checkpoint) throws IOException {
    String prefix = prefix(output);
    for (Path sibling : entries(Path.of(prefix).getParent())) {
      if (sibling.toString().startsWith(prefix) && announced(sibling, checkpoint)) {
        return true;
      }
    }
    return false;
  }

  private static boolean announced(Path work, Path checkpoint) throws IOException {
    Path file = work.resolve(ANNOUNCED);
    Path log = checkpoint.resolve(QuantizationLog.FILE);
    return Files.isRegularFile(file)
        && Files.isRegularFile(log)
        && Files.readString(file).equals(hash(Files.readAllBytes(log)));
  }

  private static String hash(byte[] log) {
    return Hashing.sha256().hashBytes(log).toString();
  }

  /** Deletes the folder, what says that the checkpoint is written last. */
  public void delete() throws IOException {
    close();
    if (Files.isDirectory(folder)) {
      deleteRun(folder);
    }
  }

  /**
   * Deletes blocks side by side: giving back gigabytes of cached files takes a processor a second.
   */
  private static void deleteRun(Path run) throws IOException {
    try {
      entries(run).stream()
          .filter(entry -> !entry.endsWith(ANNOUNCED))
          .parallel()
          .forEach(block -> {
            try {
              MoreFiles.deleteRecursively(block, RecursiveDeleteOption.ALLOW_INSECURE);
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    MoreFiles.deleteRecursively(run, RecursiveDeleteOption.ALLOW_INSECURE);
  }

  @Override
  public synchronized void close() {
    open.values().forEach(BlockFiles::close);
    open.clear();
    written.clear();
  }

  private Path blockFolder(int block) {
    return folder.resolve(String.format(Locale.ROOT, BLOCK + "%05d", block));
  }

  private Path replacementFolder(int block, int index) {
    return folder.resolve(String.format(Locale.ROOT, "again-%05d-%05d", block, index));
  }
}
