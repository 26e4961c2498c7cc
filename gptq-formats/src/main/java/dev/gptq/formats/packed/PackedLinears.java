package dev.gptq.formats.packed;

/** Modules that are there with packed weights. */
public interface PackedLinears {
  /** Whether the module is there in packed form. */
  boolean has(String module);

  /**
   * Reads a module. Throws {@link dev.gptq.formats.BadInputException} if it is damaged. The matrix
   * is valid until the checkpoint is closed.
   */
  StoredLinear read(String module);
}
