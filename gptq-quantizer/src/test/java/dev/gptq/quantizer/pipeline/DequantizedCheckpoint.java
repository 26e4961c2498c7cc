package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** A copy of a model in which some modules have the float32 values of their packed weights. */
public record DequantizedCheckpoint(Path folder) {

  /** Writes it. */
  public static DequantizedCheckpoint write(
      Path folder, Model model, ImmutableMap<String, PackedMatrix> packed) throws IOException {
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT);
        Arena arena = Arena.ofConfined()) {
      for (String name : model.checkpoint().names()) {
        PackedMatrix matrix = packed.get(name.replaceFirst("[.]weight$", ""));
        if (matrix == null) {
          writer.add(model.checkpoint().require(name));
        } else {
          boolean transposed = transposed(model).contains(name);
          writer.add(
              name,
              StoredType.F32,
              transposed
                  ? new long[] {matrix.columns(), matrix.rows()}
                  : new long[] {matrix.rows(), matrix.columns()},
              values(matrix, transposed, arena));
        }
      }
      writer.copyFile(model.folder().resolve("config.json"));
      writer.commit();
    }
    return new DequantizedCheckpoint(folder);
  }

  /** Weights that are stored in × out. */
  private static Set<String> transposed(Model model) {
    Set<String> names = new HashSet<>();
    for (BlockSpec block : model.spec().blocks()) {
      block
          .linears()
          .filter(linear -> linear.storage() == LinearSpec.Storage.IN_OUT)
          .forEach(linear -> names.add(block.nameOf(linear) + ".weight"));
    }
    return names;
  }

  private static MemorySegment values(PackedMatrix matrix, boolean transposed, Arena arena) {
    MemorySegment values =
        arena.allocate(ValueLayout.JAVA_FLOAT, (long) matrix.rows() * matrix.columns());
    for (int o = 0; o < matrix.rows(); o++) {
      for (int i = 0; i < matrix.columns(); i++) {
        long at = transposed ? (long) i * matrix.rows() + o : (long) o * matrix.columns() + i;
        values.setAtIndex(ValueLayout.JAVA_FLOAT, at, matrix.weight(o, i));
      }
    }
    return values;
  }
}
