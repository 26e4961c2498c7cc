package dev.gptq.quantizer.run;

/**
 * Whether the newest hidden states are kept beside the finished blocks, so that a run that goes on
 * does not compute the finished blocks again.
 */
public enum KeptStates {
  /** Where the disk has room for them beside everything else. */
  AUTO,
  /** Always; a disk without room for them is refused. */
  ALWAYS,
  /** Never. */
  NEVER
}
