package dev.gptq.formats.packed;

import tools.jackson.databind.node.ObjectNode;

/** The quantized modules of a checkpoint, whatever its format. */
public interface PackedModules extends PackedLinears {
  /** The format that writes such files. */
  Format format();

  /** The settings of most modules. */
  ModuleSettings base();

  /**
   * Checks types and shapes of a module's tensors against the settings and its layer, without
   * reading what is large. Throws {@link dev.gptq.formats.BadInputException} if they do not fit.
   */
  void check(String module, int outputs, int inputs);

  /** The settings as the checkpoint has them. */
  ObjectNode settings();
}
