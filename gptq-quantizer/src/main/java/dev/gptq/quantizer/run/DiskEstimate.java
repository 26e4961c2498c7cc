package dev.gptq.quantizer.run;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.observe.HessianKeeper;
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
 * checkpoint is whole, hidden states before it is written.
 *
 * @param checkpoint the output, in all its formats
 * @param blocks finished blocks and what replaces modules of them
 * @param hessians those that are kept for observing, at most
 * @param states the hidden states of all calibration tokens, once
 */
public record DiskEstimate(long checkpoint, long blocks, long hessians, long states) {
  /** The grids of modules that are observed grow to no more than this. */
  private static final Precision WIDEST = new Precision(8, 32);

  /**
   * Of a request.
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
          case Observing.Budget budget -> (long) (budget.bitsPerWeight() / 8 * weights);
        };
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    return new DiskEstimate(
        request.checkpoints().size()
            * (model.checkpoint().totalBytes()
                - dense
                + packed
                + more
                + CheckpointExporter.sideBytes(model)),
        kept + more,
        request
            .observing()
            .map(observing -> HessianKeeper.mostBytes(model.spec(), observing.worst()))
            .orElse(0L),
        tokens
            * model.spec().hidden()
            * activations.bytes()
            * (request.settings().needsFullPrecision() ? 2 : 1));
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

  /** The most that is on the disk at any time, without hidden states. */
  public long most() {
    return checkpoint + blocks + hessians;
  }

  /** The same where states are kept: newer ones are written before older ones go. */
  public long mostWithStates() {
    return blocks + hessians + Math.max(checkpoint, 2 * states);
  }

  /**
   * Whether hidden states are kept.
   *
   * @param free bytes that the disk has for the run
   * @throws IOException if they or the rest have no room
   */
  boolean keepsStates(KeptStates wanted, long free, Path output) throws IOException {
    boolean roomy = mostWithStates() <= free;
    boolean keep =
        states > 0 && wanted != KeptStates.NEVER && (roomy || wanted == KeptStates.ALWAYS);
    long needed = keep ? mostWithStates() : most();
    if (needed > free) {
      throw new IOException(
          "the disk of %s has %s free, and the run needs %s: %s; free some space or give an output on another disk"
              .formatted(output, size(free), size(needed), parts(keep)));
    }
    return keep;
  }

  private String parts(boolean withStates) {
    return "%s for the checkpoint, %s for finished blocks until it is whole%s%s"
        .formatted(
            size(checkpoint),
            size(blocks),
            hessians == 0 ? "" : ", " + size(hessians) + " for Hessians",
            withStates ? ", twice " + size(states) + " for hidden states before" : "");
  }

  /** What a run says before it begins. */
  String sentence(boolean keepsStates, long free) {
    return "disk: %s; %s are free%s"
        .formatted(
            parts(keepsStates),
            size(free),
            states == 0 || keepsStates
                ? ""
                : "; hidden states are not kept, so finished blocks would be computed again after an"
                    + " interruption");
  }

  /**
   * The estimate for people.
   *
   * @param keepsStates whether hidden states are kept
   */
  public ImmutableList<String> lines(boolean keepsStates) {
    ImmutableList.Builder<String> lines = ImmutableList.builder();
    lines.add("disk of the output: about " + size(keepsStates ? mostWithStates() : most()));
    lines.add("  the checkpoint                            " + size(checkpoint));
    lines.add("  finished blocks until it is whole         " + size(blocks));
    if (hessians > 0) {
      lines.add("  Hessians, at most                         " + size(hessians));
    }
    if (states > 0) {
      lines.add(
          keepsStates
              ? "  hidden states, twice while they change    " + size(states)
              : "  hidden states are not kept (they take     " + size(states) + ")");
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
   * @param work the run's work folder, which need not exist
   */
  static long free(Path output, Path work) throws IOException {
    Path folder = output.toAbsolutePath().normalize().getParent();
    while (!Files.exists(folder)) {
      folder = folder.getParent();
      Preconditions.checkState(folder != null, "%s has no folder above it", output);
    }
    return Files.getFileStore(folder).getUsableSpace() + bytesIn(work);
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
