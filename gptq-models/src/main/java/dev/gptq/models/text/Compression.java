package dev.gptq.models.text;

import java.io.IOException;
import java.io.InputStream;

/** A way to compress whole files; found by {@link java.util.ServiceLoader}. */
public interface Compression {
  /** What it is called. */
  String id();

  /** The end of such files' names, such as {@code .gz}. */
  String ending();

  /**
   * Decompresses.
   *
   * @return a stream that closes {@code raw}, and tells damage by a {@link
   *     java.util.zip.ZipException} or {@link java.io.EOFException}
   */
  InputStream open(InputStream raw) throws IOException;
}
