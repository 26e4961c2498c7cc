package dev.gptq.quantizer.run;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.OutputCurvature;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.observe.HessianKeeper;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.ModelCurvature;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.tensor.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Bytes that a quantization writes to the disk of its output. The work folder goes when the
 * checkpoint is whole; hidden states and the curvature go before it is written, unless it grows
 * beside the work on the blocks.
 *
 * @param checkpoint the output, in all its formats
 * @param blocks finished blocks and what replaces modules of them
 * @param hessians those that are kept for observing, at most
 * @param states the hidden states of all calibration tokens or the state of the tuning, which comes
 *     after them: the larger, once
 * @param curvature what the backward pass finds, if there is one
 * @param waiting hidden states that lie in files while nothing works on them, the most at a time
 * @param canGrow whether the output can be written while blocks are being quantized
 */
public record DiskEstimate(
    long checkpoint,
    long blocks,
    long hessians,
    long states,
    long curvature,
    long waiting,
    boolean canGrow) {
  /** Bytes of a weight in the state of a tuning: its offset, its code, and its part of scales. */
  private static final long TUNED = 6;

  /** The grids of modules that are observed grow to no more than this. */
  private static final Precision WIDEST = new Precision(8, 32);

  /**
   * Of a request, without hidden states that lie in files.
   *
   * @param activations the backend's type of hidden states
   */
  static DiskEstimate of(Model model, RunRequest request, List<int[]> windows, DType activations)
      throws IOException {
    long dense = 0;
    long packed = 0;
    long kept = 0;
    long widest = 0;
    long weights = 0;
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String name = block.nameOf(linear);
        if (request.settings().selection().test(name)) {
          GptqOptions options = request.settings().optionsOf(name);
          Precision precision = new Precision(options.grid().bits(), options.groupSize());
          dense += model.checkpoint().require(name + ".weight").byteSize();
          packed += precision.bytes(linear.outputs(), linear.inputs());
          kept += keptBytes(linear, precision);
          widest = Math.max(widest, keptBytes(linear, WIDEST));
          weights += (long) linear.outputs() * linear.inputs();
        }
      }
    }
    // What modules gain when they are observed, in the checkpoint and in the work folder.
    long more =
        switch (request.observing().orElse(null)) {
          case null -> 0;
          case Observing.Worst worst -> Math.multiplyExact(worst.count(), widest);
          case Observing.Budget budget -> (long) (budget.bits() / 8 * weights);
          case Observing.MeasuredBudget budget -> (long) (budget.bits() / 8 * weights);
        };
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    long hidden = HiddenStates.bytes(model.spec(), request.settings(), windows, activations);
    return new DiskEstimate(
        request.checkpoints().size()
            * (model.checkpoint().totalBytes()
                - dense
                + packed
                + more
                + CheckpointExporter.sideBytes(model)),
        kept + more + (request.tuning().isPresent() ? kept : 0),
        request
            .observing()
            .filter(observing -> !observing.isForeseen())
            .map(observing -> HessianKeeper.mostBytes(model.spec(), observing.worst()))
            .orElse(0L),
        Math.max(hidden, request.tuning().isPresent() ? weights * TUNED : 0),
        curvature(model, request.settings(), tokens),
        0,
        request.canGrow());
  }

  /** The same with that many bytes of hidden states in files, the most at a time. */
  DiskEstimate withWaiting(long bytes) {
    return new DiskEstimate(checkpoint, blocks, hessians, states, curvature, bytes, canGrow);
  }

  /** A square of each group's outputs, in blocks, and a number of each token. */
  private static long curvature(Model model, QuantizationSettings settings, long tokens) {
    long numbers = 0;
    if (settings.needsGradients() && tokens > 0) {
      for (BlockSpec block : model.spec().blocks()) {
        for (Step.Linears group : ModelCurvature.groups(block).toList()) {
          int outputs = group.modules().stream().mapToInt(LinearSpec::outputs).sum();
          numbers +=
              tokens + (settings.curvature() == Curvature.KL ? OutputCurvature.size(outputs) : 0);
        }
      }
    }
    return numbers * Float.BYTES;
  }

  /** Codes, and a scale and perhaps a zero point of each group in float32. */
  static long keptBytes(LinearSpec linear, Precision precision) {
    long groups =
        precision.groupSize() == GptqOptions.PER_ROW
            ? 1
            : Math.ceilDiv(linear.inputs(), precision.groupSize());
    return ((long) linear.outputs() * linear.inputs() * precision.bits()) / Byte.SIZE
        + 2 * groups * linear.outputs() * Float.BYTES
        + (long) linear.inputs() * Integer.BYTES;
  }

  /**
   * The most that is on the disk at any time. Newer states are written before older ones go, and
   * all that is kept goes before the checkpoint is written, unless that grows beside it.
   */
  public long most(Kept kept) {
    long state = (kept.states() ? 2 * states : 0) + (kept.curvature() ? curvature : 0);
    long before = state + waiting;
    return blocks
        + hessians
        + (kept.growing() ? checkpoint + before : Math.max(checkpoint, before));
  }

  /**
   * What of its state a run keeps, so that it need not be computed again, and what it writes
   * meanwhile.
   *
   * @param states the newest hidden states
   * @param curvature what the backward pass found
   * @param growing whether the output is written while blocks are being quantized
   */
  public record Kept(boolean states, boolean curvature, boolean growing) {

    private Kept withGrowing(boolean wanted) {
      return new Kept(states, curvature, wanted);
    }
  }

  /**
   * What of the state is kept.
   *
   * @param free bytes that the disk has for the run
   * @throws IOException if that or the rest has no room
   */
  Kept keeps(KeptStates wanted, long free, Path output) throws IOException {
    Kept all = new Kept(states > 0, curvature > 0, false);
    Kept nothing = new Kept(false, false, false);
    Stream<Kept> choices =
        switch (wanted) {
          case NEVER -> Stream.of(nothing);
          case ALWAYS -> Stream.of(all);
          case AUTO -> Stream.of(all, new Kept(all.states(), false, false), nothing);
        };
    Kept kept =
        choices
            .flatMap(some -> Stream.of(some.withGrowing(canGrow), some))
            .filter(some -> most(some) <= free)
            .findFirst()
            .orElse(wanted == KeptStates.ALWAYS ? all : nothing);
    if (most(kept) > free) {
      throw new IOException(
          "the disk of %s has %s free, and the run needs %s: %s; free some space or give an output on another disk"
              .formatted(output, size(free), size(most(kept)), parts(kept)));
    }
    return kept;
  }

  private String parts(Kept kept) {
    return "%s for the checkpoint, %s for finished blocks until it is whole%s%s%s%s"
        .formatted(
            size(checkpoint),
            size(blocks),
            hessians == 0 ? "" : ", " + size(hessians) + " for Hessians",
            waiting == 0 ? "" : ", " + size(waiting) + " for hidden states" + when(kept),
            kept.states()
                ? ", twice " + size(states) + " for states to go on from" + when(kept)
                : "",
            kept.curvature() ? ", " + size(curvature) + " for the curvature" + when(kept) : "");
  }

  private static String when(Kept kept) {
    return kept.growing() ? "" : " before";
  }

  /** What a run says before it begins. */
  String sentence(Kept kept, long free) {
    return "disk: %s; %s are free%s%s"
        .formatted(
            parts(kept),
            size(free),
            states == 0 || kept.states()
                ? ""
                : "; states to go on from are not kept, so finished blocks would be computed again after"
                    + " an interruption",
            curvature == 0 || kept.curvature()
                ? ""
                : "; the curvature (%s) is not kept, so the backward pass would run again"
                    .formatted(size(curvature)));
  }

  /** The estimate for people. */
  public ImmutableList<String> lines(Kept kept) {
    ImmutableList.Builder<String> lines = ImmutableList.builder();
    lines.add("disk of the output: about " + size(most(kept)));
    lines.add("  the checkpoint                            " + size(checkpoint));
    lines.add("  finished blocks until it is whole         " + size(blocks));
    if (hessians > 0) {
      lines.add("  Hessians, at most                         " + size(hessians));
    }
    if (waiting > 0) {
      lines.add("  hidden states while no block needs them   " + size(waiting));
    }
    if (states > 0) {
      lines.add(
          kept.states()
              ? "  states to go on from, twice meanwhile      " + size(states)
              : "  states are not kept (they take            " + size(states) + ")");
    }
    if (curvature > 0) {
      lines.add(
          kept.curvature()
              ? "  the curvature                             " + size(curvature)
              : "  the curvature is not kept (it takes       " + size(curvature) + ")");
    }
    return lines.build();
  }

  private static String size(long bytes) {
    return bytes < 10L << 20
        ? String.format(Locale.ROOT, "%d KiB", Math.ceilDiv(bytes, 1024))
        : String.format(Locale.ROOT, "%d MiB", bytes >> 20);
  }

  /**
   * Bytes that a run can still write: what is free, and what an earlier run has written of it.
   *
   * @param left folders of the run that will be used or cleared away; they need not exist
   */
  static long free(Path output, List<Path> left) throws IOException {
    Path folder = output.toAbsolutePath().normalize().getParent();
    while (!Files.exists(folder)) {
      folder = folder.getParent();
      Preconditions.checkState(folder != null, "%s has no folder above it", output);
    }
    long bytes = Files.getFileStore(folder).getUsableSpace();
    for (Path some : left) {
      bytes += bytesIn(some);
    }
    return bytes;
  }

  private static long bytesIn(Path work) throws IOException {
    if (!Files.isDirectory(work)) {
      return 0;
    }
    try (Stream<Path> files = Files.walk(work)) {
      return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}
