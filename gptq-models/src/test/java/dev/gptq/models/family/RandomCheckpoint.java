package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.config.ModelConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import tools.jackson.databind.node.ObjectNode;

/** Writes checkpoints with the tensors that a description asks for, filled at random. */
public final class RandomCheckpoint {
  private RandomCheckpoint() {}

  /** A checkpoint of that configuration; norms are near one, all other weights near zero. */
  public static Path write(Path folder, ObjectNode config, long seed) throws IOException {
    Path json = Files.createDirectories(folder.resolveSibling(folder.getFileName() + "-config"));
    Files.writeString(json.resolve(ModelConfig.FILE), config.toString());
    DecoderSpec spec = Families.describe(ModelConfig.read(json));
    SplittableRandom random = new SplittableRandom(seed);
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      for (Map.Entry<String, ImmutableList<Long>> tensor : SpecTensors.of(spec).entrySet()) {
        long[] shape = tensor.getValue().stream().mapToLong(Long::longValue).toArray();
        boolean gain = shape.length == 1 && tensor.getKey().endsWith(".weight");
        float[] values = new float[Math.toIntExact(elements(shape))];
        for (int i = 0; i < values.length; i++) {
          values[i] = (gain ? 1 : 0) + (float) (0.2 * random.nextGaussian());
        }
        writer.add(tensor.getKey(), StoredType.F32, shape, MemorySegment.ofArray(values));
      }
      writer.copyFile(json.resolve(ModelConfig.FILE));
      writer.commit();
    }
    return folder;
  }

  private static long elements(long[] shape) {
    long elements = 1;
    for (long size : shape) {
      elements *= size;
    }
    return elements;
  }
}
