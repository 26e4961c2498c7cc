package dev.gptq.models;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * Shows embeddings and output layers that are packed as matrices of float32, which is how they are
 * computed with: other programs quantize them like any layer.
 *
 * @param checkpoint the checkpoint with them
 * @param quantization its packed modules without them
 */
record DenseEnds(Checkpoint checkpoint, Optional<PackedModules> quantization) {
  /** The last part of the names of embeddings and output layers. */
  private static final ImmutableList<String> NAMES =
      ImmutableList.of(
          "lm_head", "embed_out", "embed_tokens", "embed_in", "wte", "word_embeddings");

  static DenseEnds of(Checkpoint checkpoint, Optional<PackedModules> quantization) {
    if (quantization.isEmpty()) {
      return new DenseEnds(checkpoint, quantization);
    }
    PackedModules modules = quantization.get();
    String first = "." + modules.format().parts().getFirst();
    ImmutableList<String> ends =
        checkpoint.names().stream()
            .filter(name -> name.endsWith(first))
            .map(name -> name.substring(0, name.length() - first.length()))
            .filter(module -> NAMES.contains(module.substring(module.lastIndexOf('.') + 1)))
            .filter(modules::has)
            .collect(ImmutableList.toImmutableList());
    if (ends.isEmpty()) {
      return new DenseEnds(checkpoint, quantization);
    }
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (String name : checkpoint.names()) {
      tensors.put(name, checkpoint.require(name));
    }
    for (String end : ends) {
      StoredTensor codes = checkpoint.require(end + first);
      modules.format().parts().forEach(part -> tensors.remove(end + "." + part));
      tensors.put(end + ".weight", dense(end, modules, codes));
    }
    return new DenseEnds(
        checkpoint.seenAs(ImmutableMap.copyOf(tensors)), Optional.of(new Others(modules, ends)));
  }

  private static StoredTensor dense(String module, PackedModules modules, StoredTensor part) {
    PackedMatrix shape = modules.read(module).matrix();
    return StoredTensor.computed(
        module + ".weight",
        StoredType.F32,
        ImmutableList.of((long) shape.rows(), (long) shape.columns()),
        part.file(),
        () -> DecodedLinears.values(modules.read(module).matrix(), false));
  }

  /** Packed modules without some of them. */
  private record Others(PackedModules modules, ImmutableList<String> without)
      implements PackedModules {
    @Override
    public Format format() {
      return modules.format();
    }

    @Override
    public ModuleSettings base() {
      return modules.base();
    }

    @Override
    public boolean has(String module) {
      return !without.contains(module) && modules.has(module);
    }

    @Override
    public void check(String module, int outputs, int inputs) {
      modules.check(module, outputs, inputs);
    }

    @Override
    public StoredLinear read(String module) {
      return modules.read(module);
    }

    @Override
    public ObjectNode settings() {
      return modules.settings();
    }
  }
}
