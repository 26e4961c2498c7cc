package dev.gptq.formats.gptq;

import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import tools.jackson.databind.node.ObjectNode;

/** The modules of a GPTQ checkpoint. */
record GptqModules(GptqConfig config, ObjectNode settings, Checkpoint checkpoint)
    implements PackedModules {
  @Override
  public Format format() {
    return new GptqFormat(config.format());
  }

  @Override
  public ModuleSettings base() {
    return config.settings();
  }

  @Override
  public boolean has(String module) {
    return GptqTensors.has(checkpoint, module);
  }

  @Override
  public void check(String module, int outputs, int inputs) {
    GptqTensors.check(checkpoint, module, config, outputs, inputs);
  }

  @Override
  public StoredLinear read(String module) {
    return GptqTensors.read(checkpoint, module, config);
  }
}
