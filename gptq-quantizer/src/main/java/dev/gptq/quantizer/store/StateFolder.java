package dev.gptq.quantizer.store;

import dev.gptq.quantizer.pipeline.HiddenState;
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
 * The newest hidden states of a run in its work folder, the file {@code states-BLOCK}. A file
 * appears whole and takes the place of the one before, so that there are two of them for a moment.
 *
 * <p>Writing all states after each block could take longer than the blocks: they are written when
 * that is expected to take {@value #SHARE} of the time since they were last written, at most. So it
 * costs no more than this share of a run, and an interrupted run loses no more than what takes 1 /
 * {@value #SHARE} times as long as writing once. They are not forced to the disk: a killed process
 * loses none, and after a power cut checksums tell, and the blocks run again.
 */
public final class StateFolder implements StateStore {
  /** Largest part of the time that may go into writing. */
  static final double SHARE = 0.04;

  /** Until one was measured: bytes a second. */
  private static final double FIRST_RATE = 5e8;

  /** Of making, renaming and deleting a file. */
  private static final double FILE_SECONDS = 1e-3;

  private static final String PREFIX = "states-";
  private static final String UNFINISHED = "unfinished-states";

  private final Path folder;
  private final String key;
  private final Consumer<String> notes;
  private final LongSupplier clock;
  private long last;
  private double rate = FIRST_RATE;
  private boolean full;

  /**
   * States in a work folder.
   *
   * @param notes hears which states could not be used or kept, and why
   * @param clock nanoseconds
   */
  StateFolder(Path folder, String key, Consumer<String> notes, LongSupplier clock) {
    this.folder = folder;
    this.key = key;
    this.notes = notes;
    this.clock = clock;
    this.last = clock.getAsLong();
  }

  @Override
  public OptionalInt newest(int most) {
    return files().stream()
        .mapToInt(StateFolder::block)
        .filter(block -> block > 0 && block <= most)
        .max();
  }

  @Override
  public boolean load(int block, List<HiddenState> states) {
    try {
      StateFile.read(file(block), key, block, states);
      return true;
    } catch (IOException e) {
      notes.accept(
          "blocks 0 to %d run again, because the hidden states behind them cannot be used: %s"
              .formatted(block - 1, e.getMessage()));
      return false;
    }
  }

  @Override
  public void put(int block, List<HiddenState> states, Runnable stored) {
    long bytes = StateFile.bytes(states);
    long begin = clock.getAsLong();
    if (full || (begin - last) / 1e9 * SHARE < bytes / rate + FILE_SECONDS) {
      return;
    }
    Path unfinished = folder.resolve(UNFINISHED);
    try {
      Files.createDirectories(folder);
      StateFile.write(unfinished, key, block, states);
      stored.run();
      Files.move(unfinished, file(block), StandardCopyOption.ATOMIC_MOVE);
      for (Path file : files()) {
        if (block(file) != block) {
          Files.delete(file);
        }
      }
      last = clock.getAsLong();
      rate = Math.max(1, bytes / Math.max(1e-9, (last - begin) / 1e9));
    } catch (IOException e) {
      full = true;
      notes.accept(
          "hidden states are not kept any more (%s); after an interruption finished blocks would run again"
              .formatted(e.getMessage()));
      discard(unfinished);
    }
  }

  private void discard(Path unfinished) {
    try {
      Files.deleteIfExists(unfinished);
    } catch (IOException e) {
      notes.accept("%s cannot be deleted: %s".formatted(unfinished, e.getMessage()));
    }
  }

  /** Deletes all states. */
  public void delete() {
    try {
      Files.deleteIfExists(folder.resolve(UNFINISHED));
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
      return entries.filter(path -> path.getFileName().toString().startsWith(PREFIX)).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int block(Path file) {
    return Integer.parseInt(file.getFileName().toString().substring(PREFIX.length()));
  }

  private Path file(int block) {
    return folder.resolve(String.format(Locale.ROOT, PREFIX + "%05d", block));
  }
}
