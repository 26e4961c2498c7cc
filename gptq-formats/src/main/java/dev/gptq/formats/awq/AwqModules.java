package dev.gptq.formats.awq;

import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import tools.jackson.databind.node.ObjectNode;

/** The modules of an AWQ checkpoint. */
record AwqModules(ModuleSettings base, ObjectNode settings, Checkpoint checkpoint)
    implements PackedModules {
  @Override
  public Format format() {
    return new AwqFormat();
  }

  @Override
  public boolean has(String module) {
    return AwqReader.has(checkpoint, module);
  }

  @Override
  public void check(String module, int outputs, int inputs) {
    new AwqReader(checkpoint, module, base).check(outputs, inputs);
  }

  @Override
  public StoredLinear read(String module) {
    return new AwqReader(checkpoint, module, base).read();
  }
}
