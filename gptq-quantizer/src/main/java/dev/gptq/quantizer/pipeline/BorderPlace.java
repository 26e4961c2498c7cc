package dev.gptq.quantizer.pipeline;

import java.nio.file.Path;

/**
 * Where a backward pass has the residual stream before each block until its way back.
 *
 * @param folder of files, which are deleted in the end; not looked at if it is not in files
 */
public record BorderPlace(HiddenStates where, Path folder) {
  /** In the memory of the device. */
  public static final BorderPlace DEVICE = new BorderPlace(HiddenStates.DEVICE, Path.of(""));
}
