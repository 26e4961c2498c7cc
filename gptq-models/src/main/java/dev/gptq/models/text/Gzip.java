package dev.gptq.models.text;

import java.io.IOException;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;

/** What {@code gzip} writes. */
public final class Gzip implements Compression {
  private static final int BUFFER = 1 << 16;

  @Override
  public String id() {
    return "gzip";
  }

  @Override
  public String ending() {
    return ".gz";
  }

  @Override
  public InputStream open(InputStream raw) throws IOException {
    return new GZIPInputStream(raw, BUFFER);
  }
}
