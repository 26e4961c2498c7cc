package dev.gptq.hub;

/** Hears of a transfer while it goes on, from several threads but one call at a time. */
public interface TransferListener {
  /** Hears nothing. */
  TransferListener SILENT = new TransferListener() {};

  /** Something that a person should know, such as that an attempt is repeated and why. */
  default void note(String line) {}

  /** How far it is; several times a second. */
  default void progress(TransferProgress progress) {}
}
