package dev.gptq.quantizer.pipeline;

/** When the weights of a block come to the devices. */
public enum Weights {
  /** Once the block before is finished. */
  IN_TURN,
  /**
   * While the block before is worked on, which takes memory for them: as they are stored, those of
   * one block, and of two where the activation type rounds them. Codes go to the host meanwhile,
   * too, where {@link CodesAside} has them.
   */
  AHEAD
}
