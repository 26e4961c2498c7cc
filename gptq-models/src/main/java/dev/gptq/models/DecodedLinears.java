package dev.gptq.models;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.host.NativeHeap;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/** Quantized modules as the matrices of numbers that their codes stand for. */
final class DecodedLinears {
  private DecodedLinears() {}

  /** A checkpoint with a float32 weight for each quantized linear layer of its blocks. */
  static Checkpoint of(Checkpoint checkpoint, PackedModules modules, DecoderSpec spec) {
    String codes = modules.format().parts().getFirst();
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (String name : checkpoint.names()) {
      tensors.put(name, checkpoint.require(name));
    }
    for (BlockSpec block : spec.blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String module = block.nameOf(linear);
        if (modules.has(module)) {
          boolean turned = linear.storage() == LinearSpec.Storage.IN_OUT;
          long outputs = linear.outputs();
          long inputs = linear.inputs();
          tensors.put(
              module + ".weight",
              StoredTensor.computed(
                  module + ".weight",
                  StoredType.F32,
                  turned ? ImmutableList.of(inputs, outputs) : ImmutableList.of(outputs, inputs),
                  checkpoint.require(module + "." + codes).file(),
                  () -> values(modules.read(module).matrix(), turned)));
        }
      }
    }
    return checkpoint.seenAs(ImmutableMap.copyOf(tensors));
  }

  /**
   * The numbers of a matrix, float32.
   *
   * @param turned column by column
   */
  static MemorySegment values(PackedMatrix matrix, boolean turned) {
    long rows = matrix.rows();
    long columns = matrix.columns();
    MemorySegment values = NativeHeap.allocate(Float.BYTES * columns * rows, 64, Arena.ofAuto());
    IntStream.range(0, matrix.rows())
        .parallel()
        .forEach(o -> {
          for (int i = 0; i < columns; i++) {
            long index = turned ? i * rows + o : o * columns + i;
            values.setAtIndex(Elements.FLOAT, index, matrix.weight(o, i));
          }
        });
    return values.asReadOnly();
  }
}
