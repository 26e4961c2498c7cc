package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.GrowingCheckpoint;
import dev.gptq.quantizer.pipeline.BlockStore;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import dev.gptq.quantizer.pipeline.Waiting;
import dev.gptq.quantizer.store.KeptModule;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;

/**
 * A work folder whose blocks also go into the checkpoints of a run, on a thread of their own and
 * while the next blocks are being quantized: what is left at the end is the last block. Where a
 * checkpoint cannot be written this way it is given up, which is said, and can still be written at
 * the end from the work folder.
 */
final class GrowingCheckpoints implements BlockStore, AutoCloseable {
  private final Model model;
  private final RunRequest request;
  private final WorkFolder work;
  private final ExecutorService writer =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("checkpoint-writer").factory());
  private final List<Future<?>> steps = new ArrayList<>();

  /** Used on the writer's thread, and by others once its steps are done. */
  private final Map<CheckpointSettings, GrowingCheckpoint> growing = new HashMap<>();

  private final List<String> failures = new ArrayList<>();
  private volatile boolean wanted = true;

  /**
   * Begins checkpoints, and writes the blocks that there are already.
   *
   * @param checkpoints those that are to grow; the others of the request are none of its business
   */
  GrowingCheckpoints(
      Model model,
      RunRequest request,
      ImmutableList<CheckpointSettings> checkpoints,
      WorkFolder work) {
    this.model = model;
    this.request = request;
    this.work = work;
    for (CheckpointSettings checkpoint : checkpoints) {
      later(() -> attempt(checkpoint, () -> growing.put(checkpoint, begin(checkpoint))));
    }
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      if (find(block).isPresent()) {
        int finished = block;
        later(writing(block, () -> work.modules(finished)));
      }
    }
  }

  private GrowingCheckpoint begin(CheckpointSettings checkpoint) throws IOException {
    return GrowingCheckpoint.begin(
        model, request.settings(), checkpoint, request.folder(checkpoint), request.overwrite());
  }

  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    return work.find(block);
  }

  /** Writes a block into both at the same time, and waits for both: there is memory for one. */
  @Override
  public void put(int block, ImmutableMap<String, QuantizedModule> modules) {
    Future<?> written = begin(writing(block, () -> work.toBeKept(block, modules)));
    work.put(block, modules);
    Waiting.waitFor(written, "a checkpoint was being written");
  }

  private Step writing(int block, Supplier<ImmutableMap<String, KeptModule>> modules) {
    return () -> {
      ImmutableMap<String, KeptModule> kept = modules.get();
      for (Map.Entry<CheckpointSettings, GrowingCheckpoint> some :
          ImmutableMap.copyOf(growing).entrySet()) {
        attempt(some.getKey(), () -> some.getValue().write(block, kept));
      }
    };
  }

  /** What a step does. */
  @FunctionalInterface
  private interface Step {
    void run() throws IOException;
  }

  /** Begins a step that {@link #await} waits for. */
  private synchronized void later(Step step) {
    steps.add(begin(step));
  }

  private Future<?> begin(Step step) {
    return writer.submit(() -> {
      if (wanted) {
        step.run();
      }
      return wanted;
    });
  }

  private void attempt(CheckpointSettings checkpoint, Step step) throws IOException {
    try {
      step.run();
    } catch (IOException | UncheckedIOException | BadInputException e) {
      failures.add(
          "%s is written when all blocks are finished, and not beside them: %s"
              .formatted(request.folder(checkpoint), e.getMessage()));
      GrowingCheckpoint failed = growing.remove(checkpoint);
      if (failed != null) {
        failed.close();
      }
    }
  }

  /**
   * Waits until all blocks have been written.
   *
   * @return the reasons why checkpoints were given up
   */
  ImmutableList<String> await() {
    ImmutableList<Future<?>> all;
    synchronized (this) {
      all = ImmutableList.copyOf(steps);
    }
    for (Future<?> step : all) {
      Waiting.waitFor(step, "a checkpoint was being written");
    }
    return ImmutableList.copyOf(failures);
  }

  /** The checkpoint that has all blocks, once they have been {@linkplain #await waited} for. */
  Optional<GrowingCheckpoint> of(CheckpointSettings checkpoint) {
    return Optional.ofNullable(growing.get(checkpoint));
  }

  /** Deletes what was not finished. */
  @Override
  public void close() throws IOException {
    wanted = false;
    writer.close();
    for (GrowingCheckpoint some : growing.values()) {
      some.close();
    }
  }
}
