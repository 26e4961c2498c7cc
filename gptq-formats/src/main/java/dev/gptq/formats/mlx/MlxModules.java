package dev.gptq.formats.mlx;

import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import tools.jackson.databind.node.ObjectNode;

/** The modules of an MLX checkpoint. */
record MlxModules(MlxSettings config, ObjectNode settings, Checkpoint checkpoint)
    implements PackedModules {
  @Override
  public Format format() {
    return new MlxFormat();
  }

  @Override
  public ModuleSettings base() {
    return new ModuleSettings(config.base().bits(), config.base().groupSize(), false, false);
  }

  @Override
  public boolean has(String module) {
    return MlxReader.has(checkpoint, module);
  }

  @Override
  public void check(String module, int outputs, int inputs) {
    new MlxReader(checkpoint, module, config).check(outputs, inputs);
  }

  @Override
  public StoredLinear read(String module) {
    return new MlxReader(checkpoint, module, config).read();
  }
}
