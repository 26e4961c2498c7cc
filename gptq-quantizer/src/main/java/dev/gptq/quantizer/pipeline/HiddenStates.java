package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.DecoderSpec;
import dev.gptq.tensor.DType;
import java.util.List;

/**
 * Where the hidden states of the calibration windows lie while no block works on them: the residual
 * stream, and what later blocks read besides. Those of a backward pass, before each block, are
 * there from its way forward to its way back. The result is the same to the last bit.
 */
public enum HiddenStates {
  /** In the memory of the device that takes them through the blocks. */
  DEVICE("on the device"),
  /**
   * In the memory of the machine. Each batch comes to the device for each group of layers and goes
   * through the block from its beginning: two to three times the forward passes, and the device has
   * the activations of one batch at a time.
   */
  HOST("in the machine's memory"),
  /** In files beside the output, else as in the memory of the machine. */
  FILES("in files beside the output");

  private final String place;

  HiddenStates(String place) {
    this.place = place;
  }

  /** Where that is, for people. */
  String place() {
    return place;
  }

  /** Bytes of those of all windows between two blocks, of full precision too if it passes. */
  public static long bytes(
      DecoderSpec spec, QuantizationSettings settings, List<int[]> windows, DType activations) {
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    int streams = settings.needsFullPrecision() ? 2 : 1;
    return streams * tokens * spec.hidden() * activations.bytes();
  }
}
