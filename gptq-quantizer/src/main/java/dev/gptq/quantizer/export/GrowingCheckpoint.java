package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.store.KeptModule;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A checkpoint that is written while blocks are still being quantized. Names, types and shapes of
 * all tensors are known before: modules go to their places when they are quantized. The files are
 * those that {@link CheckpointExporter#export} would write.
 */
public final class GrowingCheckpoint implements AutoCloseable {
  private final Model model;
  private final CheckpointSettings settings;
  private final ImmutableMap<String, ModuleSettings> modules;
  private final CheckpointWriter writer;
  private final UnfinishedStacks unfinished;

  private GrowingCheckpoint(
      Model model,
      CheckpointSettings settings,
      ImmutableMap<String, ModuleSettings> modules,
      CheckpointWriter writer) {
    this.model = model;
    this.settings = settings;
    this.modules = modules;
    this.writer = writer;
    this.unfinished = new UnfinishedStacks(new ExpertStacks(model, settings.format()), modules);
  }

  /**
   * Begins a checkpoint: makes room for all tensors, and writes those that stay as they are.
   *
   * @param model the full-precision model
   * @param quantization how it is quantized
   * @param settings how to write it: in a format of safetensors
   * @param output the folder to make
   * @param overwrite whether an existing folder may be replaced
   */
  public static GrowingCheckpoint begin(
      Model model,
      QuantizationSettings quantization,
      CheckpointSettings settings,
      Path output,
      boolean overwrite)
      throws IOException {
    ImmutableMap.Builder<String, ModuleSettings> modules = ImmutableMap.builder();
    for (BlockSpec block : model.spec().blocks()) {
      block
          .linears()
          .map(block::nameOf)
          .filter(quantization.selection())
          .forEach(name ->
              modules.put(
                  name,
                  CheckpointExporter.settings(
                      quantization.optionsOf(name).grid().bits(),
                      quantization.optionsOf(name).groupSize(),
                      settings.base())));
    }
    CheckpointWriter writer = CheckpointExporter.writer(model, settings, output, overwrite);
    boolean begun = false;
    try {
      GrowingCheckpoint growing =
          new GrowingCheckpoint(model, settings, modules.buildOrThrow(), writer);
      growing.begin(quantization);
      begun = true;
      return growing;
    } finally {
      if (!begun) {
        writer.close();
      }
    }
  }

  private void begin(QuantizationSettings quantization) throws IOException {
    ExpertStacks stacks = new ExpertStacks(model, settings.format());
    ImmutableList<StoredTensor> others =
        stacks
            .of(CheckpointExporter.others(model, modules.keySet()))
            .collect(ImmutableList.toImmutableList());
    ForeseenTensors foreseen = new ForeseenTensors(model, quantization, settings);
    writer.announce(() ->
        Stream.concat(
                others.stream(),
                model.spec().blocks().stream()
                    .flatMap(block -> stacks.of(foreseen.of(block, modules))))
            .iterator());
    writer.write(others);
  }

  /**
   * Writes modules of a block, as many as have come; experts of which the format makes one tensor
   * when all of them have.
   *
   * @param kept those that have come, each once
   * @throws IOException also if a tensor of it is another than could be foreseen
   */
  public void write(int block, ImmutableMap<String, KeptModule> kept) throws IOException {
    List<StoredTensor> tensors =
        CheckpointExporter.encoded(model, unfinished.add(kept), settings.format(), modules, block)
            .toList();
    for (StoredTensor tensor : tensors) {
      if (!writer.awaits(tensor)) {
        throw new IOException(
            tensor.describe() + " is not of the type or shape that could be foreseen");
      }
    }
    writer.write(tensors);
  }

  /** Completes and verifies it; see {@link CheckpointExporter#export}. */
  public Optional<String> finish(WorkFolder work, ImmutableMap<String, String> logs)
      throws IOException {
    return CheckpointExporter.finish(writer, model, work, settings, logs);
  }

  /** Deletes what was not finished. */
  @Override
  public void close() throws IOException {
    writer.close();
  }
}
