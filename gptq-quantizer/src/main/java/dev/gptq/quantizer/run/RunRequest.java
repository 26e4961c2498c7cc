package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.tune.Tuning;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * What a {@link Quantization} is to do.
 *
 * @param settings how to quantize
 * @param checkpoints the formats to write, at least one
 * @param output the folder to write; of several formats, the one that holds a folder for each
 * @param overwrite whether it may be replaced
 * @param resume whether to go on from finished blocks
 * @param keptStates whether hidden states are kept beside them
 * @param hiddenStates where they lie meanwhile; if empty, where there is room
 * @param observing what to do afterwards
 * @param expertTokens tokens that every expert is to see
 * @param classicLog whether to write the log in lines of text too
 * @param tuning of the quantized model end to end, if that is asked for
 * @param importance the file to write an importance matrix to, if one is asked for
 */
public record RunRequest(
    QuantizationSettings settings,
    ImmutableList<CheckpointSettings> checkpoints,
    Path output,
    boolean overwrite,
    boolean resume,
    KeptStates keptStates,
    Optional<HiddenStates> hiddenStates,
    Optional<Observing> observing,
    OptionalInt expertTokens,
    boolean classicLog,
    Optional<Tuning> tuning,
    Optional<Path> importance) {

  /** The same with other settings of the algorithm. */
  RunRequest with(QuantizationSettings other) {
    return new RunRequest(
        other,
        checkpoints,
        output,
        overwrite,
        resume,
        keptStates,
        hiddenStates,
        observing,
        expertTokens,
        classicLog,
        tuning,
        importance);
  }

  /** The settings of most modules, whatever the format. */
  public ModuleSettings base() {
    return checkpoints.getFirst().base();
  }

  /** The folder of a checkpoint. */
  public Path folder(CheckpointSettings checkpoint) {
    return checkpoints.size() == 1 ? output : output.resolve(checkpoint.format().id());
  }

  /** The folders of all checkpoints. */
  public ImmutableList<Path> folders() {
    return checkpoints.stream().map(this::folder).collect(ImmutableList.toImmutableList());
  }

  /** What no other process may write meanwhile. */
  ImmutableSet<Path> places() {
    return ImmutableSet.<Path>builder().add(output).addAll(folders()).build();
  }

  /**
   * Whether checkpoints can be written while blocks are being quantized: nothing changes a block
   * afterwards, and their files have places that are known before.
   */
  boolean canGrow() {
    return observing.isEmpty()
        && tuning.isEmpty()
        && checkpoints.stream().noneMatch(c -> c.format() instanceof GgufFormat);
  }

  /** The names of the formats. */
  public String formats() {
    return checkpoints.stream().map(c -> c.format().id()).collect(Collectors.joining(","));
  }
}
