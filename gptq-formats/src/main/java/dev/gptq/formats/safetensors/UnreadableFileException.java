package dev.gptq.formats.safetensors;

import java.io.IOException;

/** A file that was mapped into memory can no longer be read. */
public final class UnreadableFileException extends IOException {
  private static final long serialVersionUID = 1L;

  UnreadableFileException(String message, Throwable cause) {
    super(message, cause);
  }
}
