package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.GrowingCheckpoint;
import dev.gptq.quantizer.pipeline.BlockSink;
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
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A work folder whose modules also go into the checkpoints of a run, on a thread of their own and
 * while the next are being quantized: what is left at the end are the last. Where a checkpoint
 * cannot be written this way it is given up, which is said, and can still be written at the end
 * from the work folder.
 */
final class GrowingCheckpoints implements BlockStore, AutoCloseable {
  private static final String DOING = "a checkpoint was being written";

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
        later(() -> write(finished, work.modules(finished)));
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

  /** Modules go into both at the same time; the end waits for both: there is memory for one. */
  @Override
  public BlockSink begin(int block) {
    return new Both(block);
  }

  /** A block of which modules come as they are quantized. */
  private final class Both implements BlockSink {
    private final int block;
    private final BlockSink kept;
    private final Queue<KeptModule> waiting = new ConcurrentLinkedQueue<>();
    private final List<Future<?>> written = new ArrayList<>();

    Both(int block) {
      this.block = block;
      this.kept = work.begin(block);
    }

    @Override
    public void add(List<QuantizedModule> modules) {
      modules.forEach(module -> waiting.add(work.toBeKept(block, module)));
      written.add(start(this::write));
      kept.add(modules);
    }

    /** Writes all that have come by now. */
    private void write() throws IOException {
      ImmutableMap.Builder<String, KeptModule> come = ImmutableMap.builder();
      for (KeptModule next = waiting.poll(); next != null; next = waiting.poll()) {
        come.put(next.quantized().report().name(), next);
      }
      GrowingCheckpoints.this.write(block, come.buildOrThrow());
    }

    @Override
    public void finish() {
      kept.finish();
      written.forEach(step -> Waiting.waitFor(step, DOING));
    }

    @Override
    public void close() {
      waiting.clear();
      kept.close();
    }
  }

  private void write(int block, ImmutableMap<String, KeptModule> modules) throws IOException {
    for (Map.Entry<CheckpointSettings, GrowingCheckpoint> some :
        ImmutableMap.copyOf(growing).entrySet()) {
      attempt(some.getKey(), () -> some.getValue().write(block, modules));
    }
  }

  /** What a step does. */
  @FunctionalInterface
  private interface Step {
    void run() throws IOException;
  }

  /** Begins a step that {@link #await} waits for. */
  private synchronized void later(Step step) {
    steps.add(start(step));
  }

  private Future<?> start(Step step) {
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
      Waiting.waitFor(step, DOING);
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
