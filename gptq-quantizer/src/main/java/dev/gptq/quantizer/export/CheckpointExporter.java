package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.gptq.GptqTensors;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.Model;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Writes a quantized checkpoint: packed modules, all other tensors as they are, side files. */
public final class CheckpointExporter {
  /** Files of a model folder that belong to its weights or are written anew. */
  private static final ImmutableSet<String> OWN_FILES =
      ImmutableSet.of("config.json", "quantize_config.json", QuantizationLog.FILE);

  private static final ImmutableSet<String> WEIGHT_ENDINGS =
      ImmutableSet.of(
          ".safetensors",
          ".safetensors.index.json",
          ".bin",
          ".bin.index.json",
          ".pt",
          ".pth",
          ".gguf",
          ".h5",
          ".msgpack",
          ".onnx");

  private CheckpointExporter() {}

  /**
   * Writes and verifies the checkpoint.
   *
   * @param model the full-precision model
   * @param work its quantized blocks
   * @param config settings to write into the checkpoint
   * @param logs further files to write beside {@link QuantizationLog#FILE}, by name
   * @param output the folder to make
   * @param overwrite whether an existing folder may be replaced
   */
  public static void export(
      Model model,
      WorkFolder work,
      GptqConfig config,
      ImmutableMap<String, String> logs,
      Path output,
      boolean overwrite)
      throws IOException {
    int blocks = model.spec().blocks().size();
    Set<String> packed = new HashSet<>();
    StringBuilder log = new StringBuilder();
    for (int block = 0; block < blocks; block++) {
      for (ModuleReport report : work.reports(block)) {
        packed.add(report.name() + ".weight");
        packed.add(report.name() + ".bias");
        log.append(QuantizationLog.line(report)).append('\n');
      }
    }
    try (CheckpointWriter writer =
        CheckpointWriter.create(output, WriterOptions.DEFAULT.withOverwrite(overwrite))) {
      writer.addAll(
          () -> Stream.concat(others(model, packed), modules(work, blocks, config)).iterator());
      byte[] modules = log.toString().getBytes(StandardCharsets.UTF_8);
      writer.writeFile(QuantizationLog.FILE, modules);
      for (Map.Entry<String, String> file : logs.entrySet()) {
        writer.writeFile(file.getKey(), file.getValue().getBytes(StandardCharsets.UTF_8));
      }
      writeSideFiles(model, config, writer);
      work.announce(modules);
      writer.commit();
    }
  }

  private static Stream<StoredTensor> others(Model model, Set<String> packed) {
    Checkpoint source = model.checkpoint();
    return source.names().stream().filter(name -> !packed.contains(name)).map(source::require);
  }

  /** The tensors of the quantized modules, encoded when their turn comes. */
  private static Stream<StoredTensor> modules(WorkFolder work, int blocks, GptqConfig config) {
    return IntStream.range(0, blocks)
        .boxed()
        .flatMap(block -> work.modules(block).entrySet().stream())
        .flatMap(module ->
            GptqTensors.encode(
                module.getKey(),
                module.getValue().quantized().packed(),
                config.format(),
                module.getValue().bias(),
                module.getValue().file())
                .stream());
  }

  /** Writes both places of the settings and copies tokenizer, generation settings and the like. */
  static void writeSideFiles(Model model, GptqConfig config, CheckpointWriter writer)
      throws IOException {
    ObjectNode document = model.config().json().deepCopy();
    document.set("quantization_config", config.toJson());
    writer.writeFile("config.json", pretty(document));
    writer.writeFile("quantize_config.json", pretty(config.toJson()));
    try (Stream<Path> files = Files.list(model.folder())) {
      List<Path> side =
          files.filter(Files::isRegularFile).filter(CheckpointExporter::isSideFile).toList();
      for (Path file : side) {
        writer.copyFile(file);
      }
    }
  }

  private static boolean isSideFile(Path file) {
    String name = file.getFileName().toString();
    return !name.startsWith(".")
        && !OWN_FILES.contains(name)
        && WEIGHT_ENDINGS.stream().noneMatch(name::endsWith);
  }

  private static byte[] pretty(ObjectNode document) {
    return JsonMapper.shared()
        .writerWithDefaultPrettyPrinter()
        .writeValueAsString(document)
        .concat("\n")
        .getBytes(StandardCharsets.UTF_8);
  }
}
