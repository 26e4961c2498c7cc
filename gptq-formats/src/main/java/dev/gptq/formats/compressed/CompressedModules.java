package dev.gptq.formats.compressed;

import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import tools.jackson.databind.node.ObjectNode;

/** The modules of a compressed-tensors checkpoint. */
record CompressedModules(CompressedSettings config, ObjectNode settings, Checkpoint checkpoint)
    implements PackedModules {
  @Override
  public Format format() {
    return new CompressedFormat();
  }

  @Override
  public ModuleSettings base() {
    return config.base();
  }

  @Override
  public boolean has(String module) {
    return CompressedReader.has(checkpoint, module);
  }

  @Override
  public void check(String module, int outputs, int inputs) {
    new CompressedReader(checkpoint, module, config).check(outputs, inputs);
  }

  @Override
  public StoredLinear read(String module) {
    return new CompressedReader(checkpoint, module, config).read();
  }
}
