package dev.gptq.quantizer.store;

import java.io.IOException;
import java.nio.file.Path;

/** A file of a work folder is not what was written. */
final class DamagedFileException extends IOException {
  private static final long serialVersionUID = 1L;

  DamagedFileException(Path file, String what) {
    super(file + ": " + what);
  }
}
