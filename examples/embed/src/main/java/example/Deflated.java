package example;

import dev.gptq.models.text.Compression;
import java.io.InputStream;
import java.util.zip.InflaterInputStream;

/** Texts whose names end in {@code .zz}, as zlib writes them. */
public class Deflated implements Compression {
  @Override
  public String id() {
    return "zlib";
  }

  @Override
  public String ending() {
    return ".zz";
  }

  @Override
  public InputStream open(InputStream raw) {
    return new InflaterInputStream(raw);
  }
}
