package dev.gptq.quantizer.store;

import dev.gptq.formats.FileFailure;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.quantizer.pipeline.PlacedTensor;
import dev.gptq.quantizer.pipeline.StateStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.stream.Stream;

/**
 * The newest hidden states of a run in its work folder, the file {@code states-BLOCK}, and what its
 * backward pass found, the file {@code curvature}; and, as {@link TuningFolder}, where its tuning
 * stands. A file of states appears whole and takes the place of the one before, so that there are
 * two of them for a moment.
 *
 * <p>Writing all states after each block could take longer than the blocks: they are written when
 * that is expected to take {@value #SHARE} of the time since something was last written, at most,
 * and the curvature likewise. So it costs no more than this share of a run, and an interrupted run
 * loses no more than what takes 1 / {@value #SHARE} times as long as writing once. They are not
 * forced to the disk: a killed process loses none, and after a power cut checksums tell, and the
 * blocks or the backward pass run again.
 */
public final class StateFolder implements StateStore {
  /** Largest part of the time that may go into writing. */
  static final double SHARE = 0.04;

  /** Until one was measured: bytes a second. */
  private static final double FIRST_RATE = 5e8;

  /** Of making, renaming and deleting a file. */
  private static final double FILE_SECONDS = 1e-3;

  private static final String CURVATURE = "curvature";

  /** In place of a block's number in the file of the curvature. */
  private static final int NO_BLOCK = -1;

  /** What is kept. */
  enum Kind {
    /** The hidden states before a block. */
    STATES(
        "states-",
        "blocks 0 to %d run again, because the hidden states behind them cannot be used: %s",
        "hidden states are not kept any more (%s); after an interruption finished blocks would run again"),
    /** Where a tuning stands after some looks at the held-out text. */
    TUNING(
        "tuning-",
        "tuning begins again, because its state cannot be used: %2$s",
        "the state of the tuning is not kept any more (%s); after an interruption it would begin again");

    private final String prefix;
    private final String unusable;
    private final String full;

    Kind(String prefix, String unusable, String full) {
      this.prefix = prefix;
      this.unusable = unusable;
      this.full = full;
    }
  }

  private final Path folder;
  private final Kind kind;
  private final String key;
  private final Consumer<String> notes;
  private final LongSupplier clock;
  private final boolean keepsCurvature;
  private long last;
  private double rate = FIRST_RATE;
  private boolean full;

  /**
   * States in a work folder.
   *
   * @param keepsCurvature whether there is room for the curvature, too
   * @param notes hears which states could not be used or kept, and why
   * @param clock nanoseconds
   */
  StateFolder(
      Path folder,
      Kind kind,
      String key,
      boolean keepsCurvature,
      Consumer<String> notes,
      LongSupplier clock) {
    this.folder = folder;
    this.kind = kind;
    this.key = key;
    this.keepsCurvature = keepsCurvature;
    this.notes = notes;
    this.clock = clock;
    this.last = clock.getAsLong();
  }

  @Override
  public OptionalInt newest(int most) {
    return files().stream().mapToInt(this::block).filter(block -> block > 0 && block <= most).max();
  }

  @Override
  public boolean load(int block, List<? extends KeptRows> states) {
    try {
      StateFile.read(file(block), key, block, states);
      return true;
    } catch (IOException e) {
      notes.accept(kind.unusable.formatted(block - 1, FileFailure.reason(e)));
      return false;
    }
  }

  @Override
  public void put(int block, List<? extends KeptRows> states, Runnable stored) {
    put(
        block,
        states,
        unfinished -> {
          stored.run();
          Files.move(unfinished, file(block), StandardCopyOption.ATOMIC_MOVE);
          for (Path file : files()) {
            if (block(file) != block) {
              Files.delete(file);
            }
          }
        });
  }

  @Override
  public boolean loadCurvature(List<PlacedTensor> sums) {
    Path file = folder.resolve(CURVATURE);
    if (!Files.exists(file)) {
      return false;
    }
    try {
      StateFile.read(file, key, NO_BLOCK, sums);
      return true;
    } catch (IOException e) {
      notes.accept(
          "the backward pass runs again, because what it found cannot be used: "
              + FileFailure.reason(e));
      return false;
    }
  }

  @Override
  public void putCurvature(List<PlacedTensor> sums) {
    if (keepsCurvature) {
      put(
          NO_BLOCK,
          sums,
          unfinished ->
              Files.move(unfinished, folder.resolve(CURVATURE), StandardCopyOption.ATOMIC_MOVE));
    }
  }

  /** Gives a file that was written its name. */
  @FunctionalInterface
  private interface Naming {
    void name(Path unfinished) throws IOException;
  }

  /** Writes tensors if that is expected to be quick enough. */
  private void put(int block, List<? extends KeptRows> tensors, Naming naming) {
    long bytes = StateFile.bytes(tensors);
    long begin = clock.getAsLong();
    if (full || (begin - last) / 1e9 * SHARE < bytes / rate + FILE_SECONDS) {
      return;
    }
    Path unfinished = unfinished();
    try {
      Files.createDirectories(folder);
      StateFile.write(unfinished, key, block, tensors);
      naming.name(unfinished);
      last = clock.getAsLong();
      rate = Math.max(1, bytes / Math.max(1e-9, (last - begin) / 1e9));
    } catch (IOException e) {
      full = true;
      notes.accept(kind.full.formatted(FileFailure.reason(e)));
      discard(unfinished);
    }
  }

  private void discard(Path unfinished) {
    try {
      Files.deleteIfExists(unfinished);
    } catch (IOException e) {
      notes.accept("%s cannot be deleted: %s".formatted(unfinished, FileFailure.reason(e)));
    }
  }

  /** Deletes all states. */
  public void delete() {
    try {
      Files.deleteIfExists(unfinished());
      Files.deleteIfExists(folder.resolve(CURVATURE));
      for (Path file : files()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<Path> files() {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.filter(path -> path.getFileName().toString().startsWith(kind.prefix)).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private int block(Path file) {
    return Integer.parseInt(file.getFileName().toString().substring(kind.prefix.length()));
  }

  private Path file(int block) {
    return folder.resolve(String.format(Locale.ROOT, "%s%05d", kind.prefix, block));
  }

  private Path unfinished() {
    return folder.resolve("unfinished-" + kind.prefix.substring(0, kind.prefix.length() - 1));
  }
}
